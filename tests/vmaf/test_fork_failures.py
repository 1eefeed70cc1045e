"""What the fork's engines say when a binary is missing, too old, broken, or lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from k150k_pipeline.errors import ClipError, EngineError
from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.vmaf.binary import ADVICE
from k150k_pipeline.vmaf.fork import CpuEngine, CudaEngine
from k150k_pipeline.vmaf.plans import FULL, IDENTITY, Plan
from tests.support.binaries import write_hanging_tool
from tests.support.waiting import in_time
from tests.vmaf.conftest import Bench

Clips = dict[str, ClipInfo]

UNFIT: dict[str, dict[str, Any]] = {
    "lacks ssimulacra2 in silence": {"lacks": ["ssimulacra2"]},
    "refuses ssimulacra2": {"refuses": ["ssimulacra2"]},
    "lacks motion_v2 in silence": {"lacks": ["motion_v2"]},
    "refuses motion_v2": {"refuses": ["motion_v2"]},
    "writes no log": {"log": "none"},
    "loses a frame": {"loses_frames": 1},
    "registers a key twice": {"twice": "cambi"},
    "dies": {"signal": "SIGSEGV"},
    "fails": {"exit_status": 1},
}
LIES: dict[str, tuple[dict[str, Any], str]] = {
    "writes no log": ({"log": "none"}, "no_log"),
    "writes half a log": ({"log": "cut"}, "bad_log"),
    "loses a frame": ({"loses_frames": 1}, "frame_count"),
    "loses every frame": ({"loses_frames": 3}, "frame_count"),
    "lacks cambi": ({"lacks": ["cambi"]}, "missing_feature"),
    "drops cambi on one frame": ({"drops": ["cambi", 1]}, "missing_feature"),
    "registers cambi twice": ({"twice": "cambi"}, "duplicate_feature"),
    "dies": ({"signal": "SIGSEGV"}, "vmaf_crashed"),
    "fails with a whole log": ({"exit_status": 3}, "vmaf_failed"),
}


@pytest.mark.sample(every=4)
@pytest.mark.parametrize("misbehaviour", UNFIT.values(), ids=UNFIT)
def test_unfit_cpu_binary_is_refused_with_the_way_to_build_one(
    bench: Bench, misbehaviour: dict[str, Any]
) -> None:
    bench.write("cpu", **misbehaviour)
    message = refusal(CpuEngine(bench.parameters))
    assert ADVICE["cpu"] in message
    assert str(bench.parameters.cpu_binary) in message
    assert "vmaf.backend=embedded" in message


@pytest.mark.parametrize("extractor", ["ssimulacra2", "motion_v2"])
def test_what_an_old_binary_lacks_is_named(bench: Bench, extractor: str) -> None:
    bench.write("cpu", lacks=[extractor])
    assert extractor in refusal(CpuEngine(bench.parameters)).partition("Get")[0]


@pytest.mark.parametrize(
    "engine_class",
    [
        CpuEngine,
        CudaEngine,
    ],
)
@pytest.mark.parametrize("extractor", ["cambi", "float_ssim"])
def test_cpu_binary_without_an_extractor_of_the_residual_pass_is_refused(
    bench: Bench, engine_class: type[CpuEngine | CudaEngine], extractor: str
) -> None:
    bench.write("cpu", lacks=[extractor])
    assert ADVICE["cpu"] in refusal(engine_class(bench.parameters))


def test_cuda_binary_without_psnr_is_refused(bench: Bench) -> None:
    bench.write("cuda", cuda=True, lacks=["psnr_cuda"])
    assert ADVICE["cuda"] in refusal(CudaEngine(bench.parameters))


@pytest.mark.sample(every=3)
@pytest.mark.parametrize(
    "misbehaviour",
    [{"lacks": ["motion_v2_cuda"]}, {"refuses": ["vif_cuda"]}, {"signal": "SIGSEGV"}],
    ids=["lacks motion_v2", "refuses vif", "dies"],
)
def test_unfit_cuda_binary_is_refused_with_the_way_to_build_one(
    bench: Bench, misbehaviour: dict[str, Any]
) -> None:
    bench.write("cuda", cuda=True, **misbehaviour)
    message = refusal(CudaEngine(bench.parameters))
    assert ADVICE["cuda"] in message
    assert str(bench.parameters.cuda_binary) in message


def test_cpu_build_in_the_place_of_the_cuda_build_is_refused(bench: Bench) -> None:
    bench.write("cuda")
    assert ADVICE["cuda"] in refusal(CudaEngine(bench.parameters))


def test_cuda_engine_refuses_an_unfit_cpu_binary(bench: Bench) -> None:
    bench.write("cpu", lacks=["motion_v2"])
    message = refusal(CudaEngine(bench.parameters))
    assert ADVICE["cpu"] in message
    assert ADVICE["cuda"] not in message


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_missing_binary_is_refused(bench: Bench, name: str) -> None:
    binary(bench, name).unlink()
    message = refusal(CudaEngine(bench.parameters))
    assert f"{binary(bench, name)} does not exist" in message
    assert ADVICE[name] in message


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_binary_that_is_not_executable_is_refused(bench: Bench, name: str) -> None:
    binary(bench, name).chmod(0o644)
    message = refusal(CudaEngine(bench.parameters))
    assert f"{binary(bench, name)} is not executable" in message
    assert ADVICE[name] in message


@pytest.mark.parametrize("content", [b"\x7fELF for another machine", b""], ids=["elf", "empty"])
def test_file_that_is_no_program_is_refused(bench: Bench, content: bytes) -> None:
    bench.parameters.cpu_binary.write_bytes(content)
    message = refusal(CpuEngine(bench.parameters))
    assert "cannot be run" in message
    assert ADVICE["cpu"] in message


def test_binary_that_vanishes_during_a_run_ends_the_run(bench: Bench, clips: Clips) -> None:
    engine = CpuEngine(bench.parameters)
    engine.identify()
    bench.parameters.cpu_binary.unlink()
    with pytest.raises(EngineError) as caught:
        engine.score(clips["eight_bit"], IDENTITY)
    assert ADVICE["cpu"] in str(caught.value)


@pytest.mark.sample(every=4)
@pytest.mark.parametrize(("misbehaviour", "reason"), LIES.values(), ids=LIES)
def test_lie_of_the_cpu_binary_fails_the_clip(
    bench: Bench, clips: Clips, misbehaviour: dict[str, Any], reason: str
) -> None:
    bench.write("cpu", **misbehaviour)
    assert failure(CpuEngine(bench.parameters), clips["eight_bit"]).reason == reason


@pytest.mark.sample(every=4)
@pytest.mark.parametrize(
    ("misbehaviour", "reason"),
    [
        ({"also_returns": ["cambi"]}, "duplicate_feature"),
        ({"loses_frames": 1}, "frame_count"),
        ({"drops": ["integer_motion", 2]}, "missing_feature"),
        ({"log": "none"}, "no_log"),
        ({"signal": "SIGSEGV"}, "vmaf_crashed"),
    ],
    ids=["returns cambi too", "loses a frame", "drops a key", "writes no log", "dies"],
)
def test_lie_of_the_cuda_binary_fails_the_clip(
    bench: Bench, clips: Clips, misbehaviour: dict[str, Any], reason: str
) -> None:
    engine = CudaEngine(bench.parameters)
    engine.identify()
    bench.write("cuda", cuda=True, **misbehaviour)
    assert failure(engine, clips["eight_bit"]).reason == reason


def test_probe_that_crashes_is_not_taken_for_a_missing_extractor(
    bench: Bench, clips: Clips
) -> None:
    bench.write("cuda", cuda=True, signal="SIGSEGV")
    with pytest.raises(EngineError, match="cannot try out motion_cuda"):
        CudaEngine(bench.parameters).score(clips["eight_bit"], FULL)


def test_lie_of_the_residual_pass_fails_the_clip(bench: Bench, clips: Clips) -> None:
    bench.write("cpu", loses_frames=1)
    assert failure(CudaEngine(bench.parameters), clips["eight_bit"]).reason == "frame_count"


def test_key_dropped_from_one_frame_of_the_full_plan_fails_the_clip(
    bench: Bench, clips: Clips
) -> None:
    bench.write("cpu", drops=["ssimulacra2", 2])
    error = failure(CpuEngine(bench.parameters), clips["eight_bit"], FULL)
    assert (error.reason, "ssimulacra2" in error.detail) == ("missing_feature", True)


def test_death_by_signal_is_reported(bench: Bench, clips: Clips) -> None:
    bench.write("cpu", signal="SIGSEGV")
    error = failure(CpuEngine(bench.parameters), clips["eight_bit"])
    assert "signal SIGSEGV" in error.detail
    assert str(bench.parameters.cpu_binary) in error.detail


def test_messages_of_the_binary_are_reported(bench: Bench, clips: Clips) -> None:
    bench.write("cpu", refuses=["cambi"])
    error = failure(CpuEngine(bench.parameters), clips["eight_bit"])
    assert "problem loading feature extractor: cambi" in error.detail


def test_binary_that_hangs_is_given_up(bench: Bench, clips: Clips) -> None:
    bench.write("cpu", hangs=True)

    def is_given_up(limit: float) -> None:
        error = failure(CpuEngine(bench.changed(clip_timeout_s=limit)), clips["eight_bit"])
        assert error.reason == "timeout"
        assert f"no end after {limit:g} s" in error.detail

    in_time(is_given_up, 1)


def test_decoder_that_hangs_is_given_up(bench: Bench, clips: Clips) -> None:
    ffmpeg = write_hanging_tool(bench.folder / "ffmpeg", bench.folder / "ffmpeg.jsonl")
    engine = CpuEngine(bench.changed(ffmpeg=ffmpeg, clip_timeout_s=0.5))
    error = failure(engine, clips["eight_bit"], stage="decode")
    assert error.reason == "timeout"
    assert str(clips["eight_bit"].path) in error.detail


def test_decoder_that_cannot_be_run_ends_the_run(bench: Bench, clips: Clips) -> None:
    ffmpeg = bench.folder / "ffmpeg"
    ffmpeg.write_text("no program")
    with pytest.raises(EngineError):
        CpuEngine(bench.changed(ffmpeg=ffmpeg)).score(clips["eight_bit"], IDENTITY)


def test_failure_names_the_clip(bench: Bench, clips: Clips) -> None:
    bench.write("cpu", log="none")
    error = failure(CpuEngine(bench.parameters), clips["eight_bit"])
    assert str(clips["eight_bit"].path) in error.detail


def binary(bench: Bench, name: str) -> Path:
    return {"cpu": bench.parameters.cpu_binary, "cuda": bench.parameters.cuda_binary}[name]


def refusal(engine: CpuEngine | CudaEngine) -> str:
    with pytest.raises(EngineError) as caught:
        engine.identify()
    return str(caught.value)


def failure(
    engine: CpuEngine | CudaEngine, clip: ClipInfo, plan: Plan = IDENTITY, stage: str = "score"
) -> ClipError:
    with pytest.raises(ClipError) as caught:
        engine.score(clip, plan)
    assert caught.value.stage == stage
    return caught.value
