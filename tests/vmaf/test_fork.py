"""The fork's engines against the embedded one, and what they ask of the binaries."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.schemas.features import FEATURES
from k150k_pipeline.schemas.parameters import PlanName, VmafParameters
from k150k_pipeline.vmaf import Engine, make_engine
from k150k_pipeline.vmaf.fork import CpuEngine, CudaEngine
from k150k_pipeline.vmaf.names import EXTRACTOR_FEATURES
from k150k_pipeline.vmaf.plans import FULL, IDENTITY, PLANS
from tests.support.binaries import write_script
from tests.vmaf.conftest import Bench

Clips = dict[str, ClipInfo]

ENGINES = pytest.mark.parametrize("engine_class", [CpuEngine, CudaEngine])
# At an odd height libvmaf's ciede reads memory that nobody wrote: two runs differ.
NOT_REPRODUCIBLE = ("odd_444", "full", "ciede2000")
RESIDUAL = {"float_ssim", "cambi"}
GPU_SAFE = {
    "adm_cuda",
    "vif_cuda",
    "motion_cuda",
    "motion_v2_cuda",
    "psnr_cuda",
    "ciede_cuda",
    "float_ms_ssim_cuda",
    "psnr_hvs_cuda",
    "ssimulacra2_cuda",
}


@pytest.mark.sample(every=5)
@ENGINES
@pytest.mark.parametrize("plan", ["identity", "full"])
@pytest.mark.parametrize("name", ["eight_bit", "ten_bit", "odd_444"])
def test_agrees_with_the_embedded_engine(
    bench: Bench,
    clips: Clips,
    engine: Engine,
    engine_class: type[CpuEngine | CudaEngine],
    plan: PlanName,
    name: str,
) -> None:
    scored = engine_class(bench.parameters).score(clips[name], PLANS[plan])
    expected = engine.score(clips[name], PLANS[plan])

    assert scored.frames == expected.frames == 3
    assert tuple(scored.values) == FEATURES
    for feature in [f for f in FEATURES if (name, plan, f) != NOT_REPRODUCIBLE]:
        np.testing.assert_allclose(
            scored.values[feature],
            expected.values[feature],
            rtol=0,
            atol=3e-3 if feature == "vmaf" else 1e-6,
            err_msg=feature,
        )


def test_the_clips_tell_frames_and_sizes_apart(clips: Clips, engine: Engine) -> None:
    """Agreement means nothing where every clip scores alike."""
    values = {name: engine.score(clips[name], IDENTITY).values for name in clips}
    for name in ("eight_bit", "ten_bit", "odd_444"):
        assert values[name]["motion2"].std() > 0.05
        assert (values[name]["cambi"] > 0.5).all()
        assert values[name]["vmaf"][0] < values[name]["vmaf"][1] < 100


def test_odd_height_has_no_ciede2000(bench: Bench, clips: Clips) -> None:
    values = CpuEngine(bench.parameters).score(clips["odd_444"], FULL).values
    assert np.isnan(values["ciede2000"]).all()


@pytest.mark.parametrize(("name", "ceiling"), [("eight_bit", 60.0), ("ten_bit", 72.0)])
def test_bit_depth_reaches_the_binary(
    bench: Bench, clips: Clips, name: str, ceiling: float
) -> None:
    values = CpuEngine(bench.parameters).score(clips[name], FULL).values
    assert (values["psnr_y"] == ceiling).all()
    assert argument(bench.command("cpu"), "-b") == ("8" if ceiling == 60 else "10")


def test_odd_sizes_reach_the_binary_unturned(bench: Bench, clips: Clips) -> None:
    CpuEngine(bench.parameters).score(clips["odd_444"], IDENTITY)
    command = bench.command("cpu")
    assert argument(command, "-w") == "257"
    assert argument(command, "-h") == "255"
    assert argument(command, "-p") == "420"


@ENGINES
@pytest.mark.parametrize("plan", ["identity", "full"])
def test_extractors_for_which_a_clip_is_too_small_are_not_run(
    bench: Bench,
    clips: Clips,
    engine: Engine,
    engine_class: type[CpuEngine | CudaEngine],
    plan: PlanName,
) -> None:
    values = engine_class(bench.parameters).score(clips["small"], PLANS[plan]).values

    assert np.isnan(values["cambi"]).all()
    assert np.isnan(values["float_ms_ssim"]).all()
    expected = engine.score(clips["small"], PLANS[plan]).values["motion"]
    np.testing.assert_allclose(values["motion"], expected, rtol=0, atol=1e-6)
    asked = {name.removesuffix("_cuda") for name in all_features(bench)}
    assert not asked & {"cambi", "float_ms_ssim"}


def test_cpu_engine_runs_the_full_plan_in_one_pass(bench: Bench, clips: Clips) -> None:
    CpuEngine(bench.parameters).score(clips["eight_bit"], FULL)
    command = bench.command("cpu")
    assert sorted(features(command)) == sorted([*EXTRACTOR_FEATURES, "motion_v2"])
    assert argument(command, "--model") == "version=vmaf_v0.6.1"
    assert "--no_prediction" not in command


def test_cpu_engine_runs_the_identity_plan_without_a_model(bench: Bench, clips: Clips) -> None:
    CpuEngine(bench.parameters).score(clips["eight_bit"], IDENTITY)
    command = bench.command("cpu")
    assert sorted(features(command)) == ["cambi", "motion"]
    assert "--no_prediction" in command
    assert "--model" not in command


def test_reference_and_distorted_are_the_same_inherited_file(bench: Bench, clips: Clips) -> None:
    CpuEngine(bench.parameters).score(clips["eight_bit"], IDENTITY)
    command = bench.command("cpu")
    assert argument(command, "-r") == argument(command, "-d")
    assert argument(command, "-r").startswith("/proc/self/fd/")


def test_threads_reach_both_binaries(bench: Bench, clips: Clips) -> None:
    CudaEngine(bench.changed(threads=3)).score(clips["eight_bit"], IDENTITY)
    assert argument(bench.runs("cuda")[-1]["argv"], "--threads") == "3"
    assert argument(bench.command("cpu"), "--threads") == "3"


def test_cuda_engine_splits_the_full_plan(bench: Bench, clips: Clips) -> None:
    CudaEngine(bench.parameters).score(clips["eight_bit"], FULL)
    gpu, cpu = bench.runs("cuda")[-1]["argv"], bench.command("cpu")
    assert sorted(features(gpu)) == sorted(GPU_SAFE)
    assert sorted(features(cpu)) == sorted(RESIDUAL)
    assert argument(gpu, "--model") == "version=vmaf_v0.6.1"
    assert "--no_prediction" in cpu


def test_cuda_engine_splits_the_identity_plan(bench: Bench, clips: Clips) -> None:
    CudaEngine(bench.parameters).score(clips["eight_bit"], IDENTITY)
    gpu, cpu = bench.runs("cuda")[-1]["argv"], bench.command("cpu")
    assert features(gpu) == ["motion_cuda"]
    assert features(cpu) == ["cambi"]
    assert "--no_prediction" in gpu
    assert "--no_prediction" in cpu


def test_cuda_engine_spares_the_cpu_binary_when_nothing_is_left_for_it(
    bench: Bench, clips: Clips
) -> None:
    CudaEngine(bench.parameters).score(clips["small"], IDENTITY)
    assert features(bench.runs("cuda")[-1]["argv"]) == ["motion_cuda"]
    assert not bench.has_run("cpu")


@pytest.mark.parametrize("way", ["refuses", "lacks"])
def test_ssimulacra2_runs_on_the_cpu_if_the_gpu_binary_lacks_it(
    bench: Bench, clips: Clips, way: str
) -> None:
    bench.write("cuda", cuda=True, **{way: ["ssimulacra2_cuda"]})
    cuda = CudaEngine(bench.parameters)

    values = cuda.score(clips["eight_bit"], FULL).values

    assert (values["ssimulacra2"] == 100).all()
    gpu, cpu = bench.runs("cuda")[-1]["argv"], bench.command("cpu")
    assert sorted(features(gpu)) == sorted(GPU_SAFE - {"ssimulacra2_cuda"})
    assert sorted(features(cpu)) == sorted({*RESIDUAL, "ssimulacra2"})
    assert "ssimulacra2" in cuda.identify().version


def test_whether_the_gpu_binary_has_ssimulacra2_is_tried_once(bench: Bench, clips: Clips) -> None:
    cuda = CudaEngine(bench.parameters)
    cuda.score(clips["eight_bit"], IDENTITY)
    cuda.score(clips["eight_bit"], IDENTITY)
    asked = [run for run in bench.runs("cuda") if "ssimulacra2_cuda" in run["argv"]]
    assert len(asked) == 1


@pytest.mark.parametrize("no_cuda", [True, False])
def test_no_cuda_is_passed_on(bench: Bench, clips: Clips, no_cuda: bool) -> None:
    CpuEngine(bench.changed(no_cuda=no_cuda)).score(clips["eight_bit"], IDENTITY)
    command = bench.command("cpu")
    assert ("--no_cuda" in command) is no_cuda
    assert ("--no_sycl" in command) is no_cuda


def test_cuda_engine_without_cuda_is_refused() -> None:
    with pytest.raises(ValidationError, match="exclude each other"):
        VmafParameters(backend="cuda", no_cuda=True)


def test_cuda_is_named_on_the_command_line(bench: Bench) -> None:
    """The fork's command line leaves CUDA off until ``--backend`` or ``--gpumask`` asks for it."""
    bench.write("cuda", cuda=True, cuda_on_request=True)
    CudaEngine(bench.parameters).identify()


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_identity_names_engine_model_and_decoder(bench: Bench, name: str) -> None:
    bench.write("cpu", version="3.0.0-42")
    bench.write("cuda", cuda=True, version="3.0.0-42")
    identity = make_engine(bench.changed(backend=name)).identify()
    assert identity.backend == name
    assert identity.engine == "vmaf-fork"
    assert "3.0.0-42" in identity.version
    assert identity.libvmaf == "3.0.0-42"
    assert identity.decoder.startswith("ffmpeg ")
    assert identity.model == "vmaf_v0.6.1"


@pytest.mark.sample(every=2)
@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_another_version_of_either_binary_is_another_identity(bench: Bench, name: str) -> None:
    before = CudaEngine(bench.parameters).identify()
    bench.write(name, cuda=name == "cuda", version="3.1.0")
    assert CudaEngine(bench.parameters).identify() != before


def test_identify_tries_every_extractor_of_the_cpu_binary(bench: Bench) -> None:
    CpuEngine(bench.parameters).identify()
    assert sorted(features(bench.command("cpu"))) == sorted([*EXTRACTOR_FEATURES, "motion_v2"])


def test_identify_tries_every_extractor_of_the_cuda_binary(bench: Bench) -> None:
    CudaEngine(bench.parameters).identify()
    asked = {name for run in bench.runs("cuda") for name in features(run["argv"])}
    assert asked == GPU_SAFE


def test_binary_in_a_folder_with_a_space_scores(bench: Bench, clips: Clips) -> None:
    path = write_script(
        bench.folder / "build cpu" / "vmaf", f'exec {bench.parameters.cpu_binary} "$@"'
    )
    score = CpuEngine(bench.changed(cpu_binary=path)).score(clips["eight_bit"], IDENTITY)
    assert score.frames == 3


def test_binary_given_by_its_bare_name_is_the_one_in_the_working_folder(
    bench: Bench, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.parameters.cpu_binary.parent)
    engine = CpuEngine(bench.changed(cpu_binary=Path("vmaf")))
    assert engine.score(clips["eight_bit"], IDENTITY).frames == 3


def argument(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def features(command: list[str]) -> list[str]:
    return [value for option, value in pairwise(command) if option == "--feature"]


def all_features(bench: Bench) -> set[str]:
    """Return what the binaries were asked for in their last runs."""
    names = [name for name in ("cpu", "cuda") if bench.has_run(name)]
    return {feature for name in names for feature in features(bench.runs(name)[-1]["argv"])}
