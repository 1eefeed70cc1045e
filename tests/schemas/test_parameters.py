from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from kedro.config import OmegaConfigLoader
from kedro.validation import TypeExtractor

from k150k_pipeline.pipeline_registry import register_pipelines
from k150k_pipeline.schemas.blocks import BLOCKS
from k150k_pipeline.schemas.explain import explain_parameters, leaves, nested_blocks
from k150k_pipeline.settings import CONFIG_LOADER_ARGS
from tests.conftest import CHECKOUT

GENERATED = runpy.run_path(str(CHECKOUT / "scripts/write_parameters.py"))["documents"]()
LEAVES = {
    leaf.name: leaf
    for name, model in BLOCKS.items()
    for inner, block in nested_blocks(name, model())
    for leaf in leaves(inner, block)
}


def configured(env: str) -> dict[str, Any]:
    loader = OmegaConfigLoader(conf_source=str(CHECKOUT / "conf"), env=env, **CONFIG_LOADER_ARGS)
    return loader["parameters"]


def flat(values: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {name: values}
    inner = [flat(value, f"{name}.{key}" if name else key) for key, value in values.items()]
    return {leaf: value for found in inner for leaf, value in found.items()}


def nested(name: str, value: Any) -> dict[str, Any]:
    first, _, rest = name.partition(".")
    return {first: nested(rest, value) if rest else value}


@pytest.mark.parametrize("path", GENERATED, ids=str)
def test_generated_files_are_fresh(path):
    assert (CHECKOUT / path).read_text() == GENERATED[path], f"{path} is stale: run make docs"


def test_every_parameter_file_is_generated():
    there = {p.relative_to(CHECKOUT) for p in (CHECKOUT / "conf/base").glob("parameters*")}
    assert there == {path for path in GENERATED if path.suffix == ".yml"}


def test_base_yaml_holds_the_defaults_of_the_models_leaf_by_leaf():
    defaults = {name: model().model_dump(mode="json") for name, model in BLOCKS.items()}
    assert flat(configured("base")) == flat(defaults)
    assert set(flat(defaults)) == set(LEAVES)


def test_base_yaml_keeps_types():
    written = flat(configured("base"))
    defaults = flat({name: model().model_dump(mode="json") for name, model in BLOCKS.items()})
    assert {n: type(v) for n, v in written.items()} == {n: type(v) for n, v in defaults.items()}


@pytest.mark.parametrize("name", LEAVES)
def test_every_parameter_is_explained(name):
    row = rf"\| `{name.rsplit('.', 1)[1]}` \| [A-Z*][^|]*[.!] \| [^|]+ \| `[^|]+ \| [^|]+[.!] \|"
    assert re.search(row, section_of(name)), f"{name}: meaning and advice in its docstring"


def section_of(name: str) -> str:
    heading = f"## Block `{name.rsplit('.', 1)[0]}`: "
    text = GENERATED[Path("docs/parameters.md")]
    assert text.count(heading) == 1
    return text.split(heading)[1].split("\n## ")[0].split("\n### ")[0]


@pytest.mark.parametrize("path", [path for path in GENERATED if path.suffix == ".yml"], ids=str)
def test_yaml_stays_readable(path):
    for line in GENERATED[path].splitlines():
        assert len(line) <= 100
        if re.search(r": null +#", line):
            assert "null" in line.split("#")[1], f"{path}: {line.strip()}: what is null?"


def test_the_blocks_are_those_that_the_pipelines_take(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    taken = TypeExtractor(register_pipelines()).extract_types_from_pipelines()
    # How stores are used is no input of a node: it changes nothing that is written.
    assert taken == {name: block for name, block in BLOCKS.items() if name != "store"}


def test_every_path_of_the_command_line_is_explained():
    catalogs = (path.read_text() for path in (CHECKOUT / "conf/base").glob("catalog*.yml"))
    names = set(re.findall(r"\$\{runtime_params:(\w+)", "".join(catalogs)))
    by_hand = (CHECKOUT / "scripts/parameters.template.md").read_text()
    rows = re.findall(r"^\| (`.*?`) \| ", by_hand, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == names


@pytest.mark.parametrize("env", ["base", "sample"])
def test_what_the_project_itself_configures_is_sound(env):
    assert explain_parameters(configured(env)) == []


@pytest.mark.parametrize("name", LEAVES)
def test_a_misspelt_name_gets_the_name_that_is_meant(name):
    block, _, key = name.rpartition(".")
    misspelt = f"{block}.{key[:2]}_{key[2:]}"
    (line,) = explain_parameters(nested(misspelt, 1))
    assert line == f"{misspelt} is unknown. Did you mean {name}?"


@pytest.mark.parametrize("name", LEAVES)
def test_a_value_of_the_wrong_kind_gets_what_is_allowed(name):
    (line,) = explain_parameters(nested(name, {"a": 1}))
    assert line == f"{name}: {{'a': 1}} is not allowed. Allowed: {LEAVES[name].allowed}"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("extract.workers", 0, "0 is not allowed. Allowed: whole number from 1 to 1024, or null"),
        ("extract.limit", 2.5, "2.5 is not allowed. Allowed: whole number of 1 or more (clips), "),
        ("extract.max_failure_rate", float("nan"), "nan is not allowed. Allowed: number from 0 to"),
        ("extract.verify_clips", "abc", "'abc' is not allowed. Allowed: whole number from 0 to "),
        ("extract.plan", None, "null is not allowed. Allowed: identity or full"),
        ("extract.corpus", "x" * 500, f"'{'x' * 59}… is not allowed. Allowed: k150ka, k150kb, "),
        ("vmaf.backend", True, "true is not allowed. Allowed: auto, native, "),
        ("vmaf.clip_timeout_s", -1, "-1 is not allowed. Allowed: number above 0 (seconds)"),
        ("sample.seconds", 11, "11 is not allowed. Allowed: number above 0 up to 10 (seconds)"),
        ("ingest.corpus_version", "", "'' is not allowed. Allowed: text that is not empty, or "),
        ("mos_head.splits.held_out", 1, "1 is not allowed. Allowed: number above 0 and below 1"),
        ("mos_head.seeds", [1], "[1] is not allowed. Allowed: list of at least 2 whole numbers"),
        ("mos_head.models", ["ridge", "mlpp"], "'mlpp' is not allowed. Allowed: list of at least "),
        ("protocol.clip", [1], "[1] is not allowed. Allowed: list of 2 (number, number), or null"),
        ("protocol.grid.c_log2", [1, 2, 0], "0 is not allowed. Allowed: list of 3 (number, "),
        ("ingest.download.retry_failed", "tls+x", "'x' is no class of reason; there are all, "),
    ],
)
def test_a_value_out_of_range_gets_one_line(name, value, line):
    (found,) = explain_parameters(nested(name, value))
    assert found.startswith(f"{name}: {line}")
    assert "\n" not in found
    assert "pydantic" not in found


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"extract": {"threads": 2}}, "extract.threads is unknown. Did you mean vmaf.threads or "),
        ({"extract": {"download": {}}}, "extract.download is unknown. Did you mean ingest.downlo"),
        ({"extract": {"LIMIT": 2}}, "extract.LIMIT is unknown. Did you mean extract.limit?"),
        ({"predict": {"xyz": 2}}, "predict.xyz is unknown. Block predict has source, corpus_jsonl"),
        ({"predict": {1: 2}}, "predict.1 is unknown. Block predict has source, corpus_jsonl, "),
        (
            {"extract": None},
            "extract: null is not a block of parameters. Give one of its parameters, ",
        ),
        (
            {"ingest": {"download": 3}},
            "ingest.download: 3 is not a block of parameters. Give one of ",
        ),
        ({"vmaf": {"backend": "cuda", "no_cuda": True}}, "vmaf: backend cuda and no_cuda exclude "),
        ({"fr_from_nr": {"preset": "fst"}}, "fr_from_nr: libx264 has no preset 'fst'; choose "),
        ({"protocol": {"scaling": {"low": 2}}}, "protocol.scaling: low 2.0 is not below high 1.0"),
    ],
)
def test_other_mistakes_get_one_line(parameters, line):
    (found,) = explain_parameters(parameters)
    assert found.startswith(line)


def test_every_mistake_is_named_once():
    lines = explain_parameters(
        {
            "vmaf": {"backend": "gpu", "thread": 1},
            "mos_head": {"models": ["a", "b"]},
            "unknown": {"left": "to the caller"},
        }
    )
    assert [line.split(" ")[0] for line in lines] == [
        "vmaf.backend:",
        "vmaf.thread",
        "mos_head.models:",
    ]
