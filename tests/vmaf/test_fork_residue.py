"""Nothing outlives scoring: no decoded video, no log, no process, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from k150k_pipeline.errors import ClipError, EngineError
from k150k_pipeline.media import raw
from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.vmaf.fork import CpuEngine, CudaEngine
from k150k_pipeline.vmaf.plans import IDENTITY
from tests.support.binaries import write_hanging_tool
from tests.support.waiting import DEATH_GUARD_S, HANG_GUARD_S, comes_true, in_time, wait_until
from tests.vmaf.conftest import Bench

Clips = dict[str, ClipInfo]

pytestmark = pytest.mark.thorough

SCORE_IN_A_CHILD = """
import sys
from pathlib import Path
from k150k_pipeline.media.probe import probe
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.media import raw
from k150k_pipeline.vmaf import fork
from k150k_pipeline.vmaf.plans import IDENTITY

clip, memory, parameters = sys.argv[1:]
raw.SHARED_MEMORY = Path(memory)
fork.CpuEngine(VmafParameters.model_validate_json(parameters)).score(probe(Path(clip)), IDENTITY)
"""


@pytest.mark.parametrize("engine_class", [CpuEngine, CudaEngine])
def test_nothing_is_left_after_success(
    bench: Bench, clips: Clips, engine_class: type[CpuEngine | CudaEngine]
) -> None:
    engine_class(bench.parameters).score(clips["eight_bit"], IDENTITY)
    assert bench.leftovers() == []


def test_nothing_is_left_after_identify(bench: Bench) -> None:
    CudaEngine(bench.parameters).identify()
    assert bench.leftovers() == []


@pytest.mark.parametrize(
    "misbehaviour",
    [{"exit_status": 1}, {"log": "cut"}, {"signal": "SIGSEGV"}, {"hangs": True}],
    ids=["failure", "half a log", "death", "timeout"],
)
def test_nothing_is_left_after_a_failure_of_the_binary(
    bench: Bench, clips: Clips, misbehaviour: dict[str, Any]
) -> None:
    bench.write("cpu", **misbehaviour)

    def fails(limit: float) -> None:
        with pytest.raises(ClipError):
            CpuEngine(bench.changed(clip_timeout_s=limit)).score(clips["eight_bit"], IDENTITY)
        assert bench.has_run("cpu"), "too early"

    in_time(fails, 1 if "hangs" in misbehaviour else HANG_GUARD_S)
    (run,) = bench.runs("cpu")
    assert lies_in(run["reference"], bench.memory)
    assert is_dead(run["pid"])
    assert bench.leftovers() == []


def test_nothing_is_left_after_a_failure_to_decode(bench: Bench, clips: Clips) -> None:
    claims_more = replace(clips["eight_bit"], frames=9)
    with pytest.raises(ClipError) as caught:
        CpuEngine(bench.parameters).score(claims_more, IDENTITY)
    assert (caught.value.stage, caught.value.reason) == ("decode", "truncated")
    assert not bench.has_run("cpu")
    assert bench.leftovers() == []


def test_nothing_is_left_after_the_binary_vanished(bench: Bench, clips: Clips) -> None:
    bench.parameters.cpu_binary.unlink()
    with pytest.raises(EngineError):
        CpuEngine(bench.parameters).score(clips["eight_bit"], IDENTITY)
    assert bench.leftovers() == []


def test_the_video_lies_in_shared_memory_without_a_name(bench: Bench, clips: Clips) -> None:
    CpuEngine(bench.parameters).score(clips["eight_bit"], IDENTITY)
    (run,) = bench.runs("cpu")
    assert lies_in(run["reference"], bench.memory)
    assert run["reference"].endswith(" (deleted)")
    assert not bench.scratch.exists()


def test_without_shared_memory_the_video_lies_in_the_scratch_folder(
    bench: Bench, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw, "SHARED_MEMORY", bench.folder / "nowhere")
    CpuEngine(bench.parameters).score(clips["eight_bit"], IDENTITY)
    check_scratch(bench)


def test_with_too_little_shared_memory_the_video_lies_in_the_scratch_folder(
    bench: Bench, clips: Clips
) -> None:
    """A claim of so many frames outgrows any memory; decoding then finds the truth."""
    claims_more = replace(clips["eight_bit"], frames=2**40)
    with pytest.raises(ClipError):
        CpuEngine(bench.parameters).score(claims_more, IDENTITY)
    assert bench.scratch.is_dir()
    assert bench.leftovers() == []


def test_a_clip_that_does_not_tell_its_length_is_decoded_to_the_scratch_folder(
    bench: Bench, clips: Clips
) -> None:
    assert clips["uncounted"].frames is None
    assert CpuEngine(bench.parameters).score(clips["uncounted"], IDENTITY).frames == 3
    check_scratch(bench)


def test_a_full_disk_ends_the_run_and_blames_no_clip(bench: Bench, clips: Clips) -> None:
    bench.scratch.mkdir()
    own_mounts = ["unshare", "--map-root-user", "--mount"]
    mount_and_run = 'mount -t tmpfs -o size=64k none "$0" && exec "$@"'
    if subprocess.run([*own_mounts, "mount", "-t", "tmpfs", "none", bench.scratch]).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    command = [*own_mounts, "sh", "-c", mount_and_run, str(bench.scratch)]
    score = scoring_command(bench, clips["eight_bit"], bench.folder / "nowhere")
    result = subprocess.run(
        [*command, *score], capture_output=True, text=True, timeout=HANG_GUARD_S
    )
    assert result.returncode == 1
    assert "EngineError: there is no room to decode eight_bit.mp4" in result.stderr


def test_nothing_survives_a_kill_while_scoring(bench: Bench, clips: Clips) -> None:
    bench.write("cpu", hangs=True)
    with child_that_scores(bench, clips["eight_bit"]) as child:
        wait_until(lambda: bench.has_run("cpu") and bench.runs("cpu") != [])
        (run,) = bench.runs("cpu")
        assert lies_in(run["reference"], bench.memory)
        kill_and_check(bench, child, run["pid"])


def test_nothing_survives_a_kill_while_decoding(bench: Bench, clips: Clips) -> None:
    record = bench.folder / "decoder.pid"
    ffmpeg = write_hanging_tool(bench.folder / "ffmpeg", record)
    with child_that_scores(bench, clips["eight_bit"], ffmpeg=ffmpeg) as child:
        wait_until(lambda: record.exists() and record.read_text().endswith("\n"))
        kill_and_check(bench, child, int(record.read_text()))


@contextmanager
def child_that_scores(
    bench: Bench, clip: ClipInfo, **changes: Any
) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        scoring_command(bench, clip, bench.memory, **changes),
        env={**os.environ, "TMPDIR": str(bench.temporary)},
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def scoring_command(bench: Bench, clip: ClipInfo, memory: Path, **changes: Any) -> list[str]:
    parameters = bench.changed(**changes).model_dump_json()
    return [sys.executable, "-c", SCORE_IN_A_CHILD, str(clip.path), str(memory), parameters]


def kill_and_check(bench: Bench, child: subprocess.Popen[bytes], tool: int) -> None:
    assert not is_dead(tool)
    assert bench.leftovers() == []
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert comes_true(lambda: is_dead(tool), DEATH_GUARD_S)
    assert bench.leftovers() == []


def check_scratch(bench: Bench) -> None:
    (run,) = bench.runs("cpu")
    assert lies_in(run["reference"], bench.scratch)
    assert bench.leftovers() == []


def lies_in(place: str, folder: Path) -> bool:
    return Path(place.removesuffix(" (deleted)")).is_relative_to(folder)


def is_dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
