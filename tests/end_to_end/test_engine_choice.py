"""Which engine a run takes, and rows of the native and the embedded one in one table."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from k150k_pipeline.errors import EngineError
from k150k_pipeline.isolation import own_helper
from k150k_pipeline.mos.engines import mixed
from k150k_pipeline.schemas.features import VALUE_COLUMNS
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.schemas.scoring_class import scoring_class
from k150k_pipeline.vmaf import core, decide_backend, make_engine
from k150k_pipeline.vmaf.isolated_scoring import IsolatedScorer
from k150k_pipeline.vmaf.plans import IDENTITY
from tests.conftest import CHECKOUT, KEDRO, Project
from tests.support.waiting import HANG_GUARD_S

try:
    core.load_library()
except EngineError as error:
    pytest.skip(str(error), allow_module_level=True)

MEMORY_MB = 1111
"""A memory limit of no other test, so that the helper is none of theirs."""
OF_THE_RUN = {"plan", "scoring_rules", "schema_version"}
AUTO = VmafParameters()
NATIVE = VmafParameters(backend="native")


@pytest.fixture
def library(tmp_path: Path, monkeypatch):
    """Return the path at which this process looks for the library; nothing is there."""
    monkeypatch.setattr(core, "_FOLDER", tmp_path)
    core.load_library.cache_clear()
    make_engine.cache_clear()
    yield tmp_path / "_core.abi3.so"
    monkeypatch.undo()
    core.load_library.cache_clear()
    make_engine.cache_clear()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a copy of the package without the library, to put before it on the path."""
    ignored = shutil.ignore_patterns("_core*")
    return Path(shutil.copytree(CHECKOUT / "src", tmp_path / "src", ignore=ignored))


def rows_by_backend(project: Project) -> Counter[str]:
    report = json.loads(project.report.read_text())
    return Counter({s["backend"]: s["rows"] for s in report["rows_scored_with"].values()})


def test_rows_of_both_stand_in_one_table_and_stay_as_they_are(project, tiny_clips):
    names = project.add_clips(tiny_clips)
    project.run(params="vmaf.backend=native,extract.limit=3")
    assert rows_by_backend(project) == {"native": 3}
    native = project.table()
    project.run(params="vmaf.backend=embedded,extract.limit=5")
    assert rows_by_backend(project) == {"native": 3, "embedded": 2}
    assert without_wraps(project.run()).count("Engine: native\n") == 1
    assert rows_by_backend(project) == {"native": 6, "embedded": 2}
    assert json.loads(project.report.read_text())["scoring"]["backend"] == "native"
    table = project.table()
    assert table["clip_name"].tolist() == names
    assert table[:3].equals(native)
    own = f"out={project.root}/second.parquet,journal={project.root}/second"
    project.run(params=f"vmaf.backend=embedded,{own}")
    project.features = project.root / "second.parquet"
    columns = list(VALUE_COLUMNS)
    np.testing.assert_allclose(project.table()[columns], table[columns], atol=5e-6)


def test_another_plan_is_still_refused(project, tiny_clips):
    project.add_clips(tiny_clips)
    project.run(params="vmaf.backend=native,extract.limit=1")
    output = project.run(params="vmaf.backend=embedded,extract.plan=full", ok=False)
    assert "1 rows with" in output and "plan='identity' (now 'full')" in without_wraps(output)


def test_under_the_full_plan_auto_is_the_embedded_engine(project, tiny_clips):
    project.add_clips(tiny_clips)
    output = project.run(params="extract.plan=full,extract.limit=1")
    assert without_wraps(output).count("Engine: embedded, for plan full\n") == 1
    assert rows_by_backend(project) == {"embedded": 1}


def test_the_native_engine_is_verified_against_the_full_plan_of_the_embedded_one(
    project, tiny_clips
):
    project.add_clips(tiny_clips)
    params = "extract.verify_clips=2,vmaf.backend=native,extract.limit=2"
    output = project.kedro("run", "--pipelines=extract", f"--params={params}")
    assert "Verified 2 of 2 clips" in output


def test_without_the_library_auto_is_the_embedded_engine_and_native_is_refused(
    project, tiny_clips, source
):
    project.add_clips(tiny_clips)

    def run(backend: str) -> tuple[int, str]:
        arguments = project.extract(params=f"vmaf.backend={backend},extract.limit=1")
        run = subprocess.run(
            [*KEDRO, *arguments],
            cwd=project.root,
            env={**os.environ, "PYTHONPATH": str(source), "COLUMNS": "1000"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=HANG_GUARD_S,
        )
        return run.returncode, run.stdout

    status, output = run("auto")
    assert status == 0 and "Engine: embedded, because the scoring core is not built" in output
    assert rows_by_backend(project) == {"embedded": 1}
    status, output = run("native")
    assert status == 1 and "the scoring core is not built" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        ({}, True),
        ({"backend": "native", "engine": "k150k-core 9", "decoder": "PyAV 99"}, True),
        ({"backend": "cpu"}, False),
        ({"backend": "native", "libvmaf": "2"}, False),
        ({"backend": "native", "version": "2"}, False),
        ({"backend": "native", "model": "other"}, False),
        ({"backend": "native", "plan": "full"}, False),
        ({"backend": "native", "scoring_rules": 2}, False),
        ({"backend": "native", "schema_version": 2}, False),
    ],
)
def test_rows_share_a_table_if_all_but_the_engine_is_equal(change, shared):
    names = ("engine", "version", "libvmaf", "decoder", "model", "plan")
    embedded = {"backend": "embedded", **dict.fromkeys(names, "1")}
    embedded |= {"scoring_rules": 1, "schema_version": 1}
    other = {**embedded, **change}
    assert (scoring_class(other) == scoring_class(embedded)) is shared
    assert (mixed({"a": embedded, "b": other}) is None) is (
        shared or bool(change.keys() & OF_THE_RUN)
    )


def test_two_engines_of_the_fork_share_no_table():
    assert scoring_class({"backend": "cpu"}) != scoring_class({"backend": "cuda"})
    assert scoring_class({}) != scoring_class({"backend": "cpu"})


def test_a_process_without_the_library_refuses_native(library: Path) -> None:
    with pytest.raises(EngineError, match=f"not built in {library.parent}: install .* compiler"):
        make_engine(NATIVE)


def test_a_worker_without_the_library_ends_a_run_that_was_planned_for_native(
    tiny_clips: Path, source: Path, monkeypatch
) -> None:
    monkeypatch.syspath_prepend(source)  # a helper executes Python anew, with this path
    scorer = IsolatedScorer(NATIVE, MEMORY_MB, 60)
    try:
        clip = scorer.probe(min(tiny_clips.iterdir()))
        with pytest.raises(EngineError, match=f"core is not built in {source}.*: install the pack"):
            scorer.score(clip, IDENTITY)
    finally:
        own_helper(MEMORY_MB).close()


@pytest.mark.parametrize("content", ["", "junk", "another library"])
def test_a_library_that_cannot_be_loaded_is_named(library: Path, content: str) -> None:
    if content == "another library":
        (other,) = Path(np.__file__).parent.glob("_core/_multiarray_umath*.so")
        shutil.copy(other, library)
    else:
        library.write_text(content)
    with pytest.raises(EngineError, match=r"cannot be loaded: .*_core\.abi3\.so"):
        make_engine(NATIVE)
    assert decide_backend(AUTO).backend == "embedded"


def test_a_library_of_another_version_is_refused(library: Path, monkeypatch) -> None:
    monkeypatch.setattr(core, "VERSION", core.VERSION + 1)
    (built,) = (CHECKOUT / "src/k150k_pipeline/vmaf").glob("_core*.so")
    shutil.copy(built, library)
    with pytest.raises(EngineError, match=f"version {core.VERSION - 1} .* {core.VERSION} is need"):
        core.load_library()


def without_wraps(output: str) -> str:
    """Return a log whose lines are not broken at the width of the console."""
    return "\n".join(line.strip() for line in output.splitlines()) + "\n"
