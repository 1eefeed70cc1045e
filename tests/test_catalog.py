"""Every name that a pipeline uses resolves to the dataset that ``catalog_names.jsonl`` lists.

The catalog has patterns, so a mistyped name may resolve to something. After a deliberate change
``python -m tests.test_catalog`` writes the list anew; its diff is what the change does.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import CatalogConfigResolver
from kedro.pipeline import Pipeline, node

from k150k_pipeline import pipeline_registry, pipeline_shape
from k150k_pipeline.pipeline_shape import shape_from

CONF = Path(__file__).resolve().parents[1] / "conf"
LIST = Path(__file__).with_name("catalog_names.jsonl")
NO_PIPELINE_READS = {"k150kb_votes"}
MADE_BY_THE_SAMPLE = {"k150ka_scores", "k150ka_clips", "konvid_150k_drop"}
PATTERNS = {"{default}": {"type": "kedro.io.MemoryDataset"}}  # Kedro's own

Configs = dict[str, dict[str, Any]]


def shapes() -> Iterator[pipeline_shape.PipelineShape]:
    """Yield every graph there can be, with one shard each."""
    extracts = itertools.product(("k150ka", "k150kb"), ("scores", "corpus"))
    chosen = [*extracts, ("konvid_150k", None), ("konvid_1k", None)]
    for (corpus, labels), whole, parquet, sample, table in itertools.product(
        chosen, ("konvid-150k", "konvid-1k"), (True, False), (True, False), (None, "/a.parquet")
    ):
        yield shape_from(
            {
                "extract": {
                    "corpus": corpus,
                    "labels": labels,
                    "shards": 1,
                    "extra_columns": ["fps"],
                },
                "ingest": {"corpus": whole, "shards": 1},
                "fr_from_nr": {"corpus": whole, "parquet": parquet, "shards": 1},
                "sample": {"enabled": sample},
                "features": table,
            }
        )


def names_in(pipelines: Mapping[str, Pipeline]) -> set[str]:
    names = set().union(*(pipeline.datasets() for pipeline in pipelines.values()))
    shards = re.compile(r"_(?!0000)\d{4}$")  # of the splits of protocol, whose number is fixed
    return {n for n in names if not n.startswith("params:") and not shards.search(n)}


def used_names() -> set[str]:
    names: set[str] = set()
    before = pipeline_shape._current
    try:
        for shape in shapes():
            pipeline_shape._current = shape
            names |= names_in(pipeline_registry.register_pipelines())
    finally:
        pipeline_shape._current = before
    return names | NO_PIPELINE_READS


def catalog(env: str, given: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the catalog of an environment, with paths given on the command line."""
    loader = OmegaConfigLoader(
        str(CONF), env, dict(given or {}), base_env="base", default_run_env="base"
    )
    return dict(loader["catalog"])


def resolve(names: set[str], catalog: Mapping[str, Any]) -> Configs:
    resolver = CatalogConfigResolver(dict(catalog), {}, PATTERNS)
    return {n: resolver.resolve_pattern(n) for n in sorted(names) if known(resolver, n)}


def known(resolver: CatalogConfigResolver, name: str) -> bool:
    return name in resolver.config or resolver.match_dataset_pattern(name) is not None


def places() -> dict[str, str]:
    """Return a path of the command line for each parameter that the catalog takes."""
    text = "\n".join(path.read_text() for path in CONF.glob("*/catalog*.yml"))
    return {name: f"/given/{name}" for name in set(re.findall(r"runtime_params:(\w+)", text))}


def listing(env: str = "base") -> dict[str, list[dict[str, Any]]]:
    """Return datasets by name, each with what of it is other if all paths are given."""
    names = used_names()
    default, given = (resolve(names, catalog(env, paths)) for paths in (None, places()))
    return {name: [default[name], difference(default[name], given[name])] for name in default}


def difference(default: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value != default[key]}


def listed() -> dict[str, list[dict[str, Any]]]:
    return dict(json.loads(line) for line in LIST.read_text().splitlines())


def moved(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return what a dataset of the base environment is in the folder of the sample."""
    return json.loads(re.sub(r'"data/', '"data/sample/', json.dumps(dataset)))


def test_every_name_resolves_to_the_dataset_of_the_list():
    assert listing() == listed()


def test_every_name_that_is_used_is_listed_and_no_other():
    assert used_names() == set(listed())


def test_in_the_sample_all_is_the_same_below_its_own_folder():
    for name, (default, given) in listing("sample").items():
        base_default, base_given = listed()[name]
        assert default == moved(base_default)
        assert given == ({} if name in MADE_BY_THE_SAMPLE else moved(base_given))


@pytest.mark.parametrize(
    "mistyped",
    ["k150ka_feature", "k150kaa_features", "mos_heed_features", "plan"],
)
def test_a_mistyped_name_is_found_out(mistyped):
    pipelines = {"extract": Pipeline([node(len, mistyped, "k150ka_report")])}
    assert names_in(pipelines) - set(listed()) == {mistyped}


@pytest.mark.parametrize(
    "mistyped",
    ["k150ka_feature", "extract.k150ka_tallies", "k150c_fr", "konvid_1k_score", "plan", "mos"],
)
def test_no_pattern_takes_every_name(mistyped):
    assert resolve({mistyped}, catalog("base")) == {}


@pytest.mark.parametrize("path", ["/nowhere/{corpus}.parquet", "/nowhere/}.parquet"])
def test_a_path_that_looks_like_a_pattern_is_refused_and_not_filled_in(project, path):
    output = project.run(params=f"out={path}", ok=False)
    assert f"Error: out={path} has a brace in it" in output and "Traceback" not in output


def test_a_figure_is_beside_the_report_of_its_run_under_its_own_name():
    figures = {name: default for name, (default, _) in listed().items() if "_figure_of_" in name}
    assert "konvid_150k_figure_of_features_mos" in figures
    for name, figure in figures.items():
        run, own = name.split("_figure_of_")
        assert (figure["figure"], figure["filepath"]) == (
            own,
            listed()[f"{run}_report"][0]["filepath"],
        )


@pytest.mark.parametrize("env", ["base", "sample"])
def test_every_entry_is_used(env):
    resolver = CatalogConfigResolver(catalog(env), {}, PATTERNS)
    names = set(listed())
    used = {resolver.match_dataset_pattern(name) for name in names - set(resolver.config)}
    assert set(resolver.config) <= names
    assert set(resolver.list_patterns()) - set(PATTERNS) == used


if __name__ == "__main__":
    lines = (json.dumps([name, datasets]) for name, datasets in sorted(listing().items()))
    LIST.write_text("".join(f"{line}\n" for line in lines))
