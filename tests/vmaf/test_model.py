"""A VMAF model other than the built-in one: a file, in any engine, under the full plan alone."""

from __future__ import annotations

import os
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from k150k_pipeline.errors import EngineError
from k150k_pipeline.fr_from_nr.adapter import NrInputRow, NrToFrAdapter
from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.schemas.features import FEATURES
from k150k_pipeline.schemas.fr_parameters import CorpusOptions
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf import Engine, make_engine
from k150k_pipeline.vmaf.model import model_label
from k150k_pipeline.vmaf.plans import FULL, IDENTITY
from tests.support.binaries import write_stand_in
from tests.vmaf.conftest import Bench
from tests.vmaf.test_fork import argument, features

Clips = dict[str, ClipInfo]

BACKENDS = pytest.mark.parametrize("backend", ["embedded", "cpu", "cuda"])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a copy of the built-in model, as Netflix publishes it, under another name."""
    models = pytest.importorskip("ffmpeg_quality_metrics", reason="no wheel with model files")
    with resources.as_file(resources.files(models) / "vmaf_models/vmaf_v0.6.1.json") as path:
        folder = tmp_path / "my models"
        folder.mkdir()
        return Path(shutil.copy(path, folder / "teacher.json"))


def engine_of(bench: Bench, backend: str, model: Path | str) -> Engine:
    return make_engine(bench.changed(backend=backend, model=str(model)))


@pytest.mark.sample(every=2)
@BACKENDS
def test_model_file_scores_as_the_same_model_built_in(
    bench: Bench, clips: Clips, backend: str, model: Path
) -> None:
    built_in = engine_of(bench, backend, "vmaf_v0.6.1").score(clips["eight_bit"], FULL).values
    values = engine_of(bench, backend, model).score(clips["eight_bit"], FULL).values
    for feature in FEATURES:
        np.testing.assert_array_equal(values[feature], built_in[feature], err_msg=feature)


@pytest.mark.sample(every=3)
@BACKENDS
def test_model_file_is_in_the_identity_by_its_content(
    bench: Bench, backend: str, model: Path, tmp_path: Path
) -> None:
    first = engine_of(bench, backend, model).identify()
    assert first.model == "teacher.json (sha256 5950d61fa1f861bd)"
    moved = tmp_path / "teacher.json"
    moved.write_bytes(model.read_bytes())
    assert engine_of(bench, backend, moved).identify() == first
    moved.write_bytes(model.read_bytes() + b"\n")
    assert engine_of(bench, backend, moved).identify().model != first.model


@BACKENDS
def test_identity_plan_refuses_another_model(
    bench: Bench, clips: Clips, backend: str, model: Path
) -> None:
    with pytest.raises(EngineError, match=r"teacher.json.*extract.plan=full"):
        engine_of(bench, backend, model).score(clips["eight_bit"], IDENTITY)


@BACKENDS
def test_model_file_that_is_missing_is_refused(bench: Bench, backend: str) -> None:
    with pytest.raises(EngineError, match=r"/nowhere/teacher\.json"):
        engine_of(bench, backend, "/nowhere/teacher.json").identify()


def test_fifo_is_no_model_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.json")
    with pytest.raises(EngineError, match=r"fifo\.json cannot be read"):
        model_label(str(tmp_path / "fifo.json"))


@BACKENDS
def test_file_that_is_no_model_is_refused(bench: Bench, backend: str, tmp_path: Path) -> None:
    (tmp_path / "no_model.json").write_text("{}")
    with pytest.raises(EngineError, match=r"no_model\.json"):
        engine_of(bench, backend, tmp_path / "no_model.json").identify()


def test_model_file_has_a_pass_of_its_own(bench: Bench, clips: Clips, model: Path) -> None:
    engine_of(bench, "cpu", model).score(clips["eight_bit"], FULL)
    measuring, judging = (run["argv"] for run in bench.runs("cpu"))
    assert "--no_prediction" in measuring and "cambi" in features(measuring)
    assert argument(judging, "--model") == f"path={model}" and not features(judging)


@pytest.mark.parametrize(
    "name", ["vmaf_v1.0.16", "model.pkl", "a:b.json", "a|b.json", "", ".json", "a\0.json"]
)
def test_name_that_is_no_model_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=r"neither vmaf_v0\.6\.1 nor"):
        VmafParameters(model=name)


def test_fr_rows_name_the_model_file(model: Path, clips: Clips, tmp_path: Path) -> None:
    binary = write_stand_in(tmp_path / "vmaf")
    rows = {}
    for backend in ("embedded", "cpu"):
        for name in ("vmaf_v0.6.1", str(model)):
            vmaf = VmafParameters(backend=backend, cpu_binary=binary)
            options = CorpusOptions(vmaf_model=name)
            adapter = NrToFrAdapter((30,), "ultrafast", options=options, vmaf=vmaf)
            (rows[backend, name],) = adapter.run(NrInputRow("x", clips["eight_bit"].path))
        same, other = rows[backend, "vmaf_v0.6.1"], rows[backend, str(model)]
        assert same["vmaf_score"] == other["vmaf_score"] and same["adm2_mean"] == other["adm2_mean"]
        assert other["vmaf_model"] == "teacher.json (sha256 5950d61fa1f861bd)"
