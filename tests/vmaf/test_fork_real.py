"""The fork's own binary, where there is one: ``K150K_FORK_VMAF=/path/to/vmaf pytest …``.

The stand-in of the other tests shows what we ask of the fork; this shows that the fork does it.
``K150K_NETFLIX_VMAF`` names a build of Netflix's vmaf, to show that it is told from the fork's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from k150k_pipeline.errors import EngineError
from k150k_pipeline.fr_from_nr.adapter import NrInputRow, NrToFrAdapter
from k150k_pipeline.media.probe import ClipInfo, probe
from k150k_pipeline.schemas.features import FEATURES, VALUE_COLUMNS
from k150k_pipeline.schemas.parameters import PlanName, VmafParameters
from k150k_pipeline.vmaf import Engine, make_engine
from k150k_pipeline.vmaf.aggregate import aggregate
from k150k_pipeline.vmaf.binary import VmafBinary
from k150k_pipeline.vmaf.pairs import make_pair_scorer
from k150k_pipeline.vmaf.plans import FULL, IDENTITY, PLANS
from tests.conftest import encode
from tests.vmaf.test_parity import NAMES

Clips = dict[str, ClipInfo]

NOT_REPRODUCIBLE = ("odd_444", "full", "ciede2000")
IDENTITY_TOLERANCES = {"motion": 0.0, "motion2": 0.0, "motion3": 0.0, "cambi": 0.0, "vmaf": 3e-3}


def _binary(variable: str) -> Path:
    if not (path := os.environ.get(variable)):
        pytest.skip(f"{variable} names no vmaf")
    return Path(path).absolute()


@pytest.fixture
def parameters() -> VmafParameters:
    return VmafParameters(backend="cpu", cpu_binary=_binary("K150K_FORK_VMAF"))


@pytest.fixture
def fork(parameters: VmafParameters) -> Engine:
    return make_engine(parameters)


def test_it_is_recognised_and_differs_from_others(fork: Engine, parameters: VmafParameters) -> None:
    identity = fork.identify()
    digest = hashlib.sha256(parameters.cpu_binary.read_bytes()).hexdigest()[:16]
    assert identity.engine == "vmaf-fork"
    assert f"(sha256 {digest}" in identity.version


@pytest.mark.parametrize("plan", ["identity", "full"])
@pytest.mark.parametrize("name", ["eight_bit", "ten_bit", "odd_444", "small"])
def test_it_agrees_with_the_embedded_engine(
    fork: Engine, engine: Engine, clips: Clips, plan: PlanName, name: str
) -> None:
    values = fork.score(clips[name], PLANS[plan]).values
    expected = engine.score(clips[name], PLANS[plan]).values
    for feature in [f for f in FEATURES if (name, plan, f) != NOT_REPRODUCIBLE]:
        atol = {"vmaf": 3e-3, "motion": 1e-4, "motion2": 1e-4, "motion3": 1e-4}.get(feature, 1e-5)
        np.testing.assert_allclose(
            values[feature], expected[feature], rtol=0, atol=atol, err_msg=feature
        )


@pytest.mark.parametrize("width", [130, 270, 274])
def test_adm_of_a_narrow_picture_against_itself_is_one(
    fork: Engine, tmp_path: Path, width: int
) -> None:
    source = f"testsrc2=size={width}x256:rate=25:duration=0.08,noise=alls=60"
    clip = probe(encode(tmp_path / "narrow.mp4", source, "-pix_fmt", "yuv420p"))
    np.testing.assert_allclose(fork.score(clip, FULL).values["adm2"], 1.0, rtol=0, atol=3e-5)


def test_clip_of_one_frame(fork: Engine, tmp_path: Path) -> None:
    source = "testsrc2=size=256x256:rate=25:duration=0.04"
    clip = probe(encode(tmp_path / "one.mp4", source, "-pix_fmt", "yuv420p"))
    values = fork.score(clip, FULL).values
    assert [values[f].tolist() for f in ("motion", "motion2", "motion3")] == [[0.0]] * 3


def test_model_file_scores_as_the_same_model_built_in(
    fork: Engine, parameters: VmafParameters, clips: Clips, tmp_path: Path
) -> None:
    wheel = pytest.importorskip("ffmpeg_quality_metrics", reason="no wheel with model files")
    source = Path(wheel.__file__).with_name("vmaf_models") / "vmaf_v0.6.1.json"
    model = shutil.copy(source, tmp_path / "teacher.json")
    own = make_engine(parameters.model_copy(update={"model": str(model)}))
    assert "teacher.json (sha256" in own.identify().model
    values, expected = (e.score(clips["eight_bit"], FULL).values for e in (own, fork))
    for feature in FEATURES:
        np.testing.assert_array_equal(values[feature], expected[feature], err_msg=feature)


def test_fr_rows_agree_with_the_embedded_engine(parameters: VmafParameters, clips: Clips) -> None:
    row = NrInputRow("x", clips["eight_bit"].path)
    ((ours,), (theirs,)) = (
        NrToFrAdapter((40,), "ultrafast", vmaf=vmaf).run(row)
        for vmaf in (parameters, VmafParameters())
    )
    for key in ("adm2_mean", "vif_scale0_mean", "motion2_mean", "vmaf_score"):
        assert ours[key] == pytest.approx(theirs[key], abs=1e-4), key


def test_extractor_with_options_renames_its_key(parameters: VmafParameters) -> None:
    binary = VmafBinary(parameters.cpu_binary, "cpu", parameters)
    with pytest.raises(EngineError, match=r"motion \(only integer_motion_mfw_2.4\)"):
        binary.require(["motion=motion_fps_weight=2.4"], ["motion"], model=False)


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_identity_plan_is_the_reference(fork: Engine, shared: Path, name: str) -> None:
    expected = pd.read_csv(shared / "golden/identity.csv").set_index("clip_name").loc[name]
    score = fork.score(probe(shared / "clips/k150ka_extracted" / name), IDENTITY)
    row = dict(zip(VALUE_COLUMNS, aggregate(score.values), strict=True))
    for column in VALUE_COLUMNS:
        tolerance = IDENTITY_TOLERANCES.get(column.rsplit("_", 1)[0], 2e-5)
        np.testing.assert_allclose(
            row[column], expected[column], rtol=0, atol=tolerance, err_msg=column
        )


@pytest.mark.parametrize("scorer", [make_engine, make_pair_scorer])
def test_netflix_build_is_refused_by_name(scorer: Callable[[VmafParameters], Engine]) -> None:
    parameters = VmafParameters(backend="cpu", cpu_binary=_binary("K150K_NETFLIX_VMAF"))
    with pytest.raises(EngineError, match=r"is Netflix's vmaf \S+, not the fork's"):
        scorer(parameters).identify()
