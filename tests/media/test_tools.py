from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media.ffmpeg import find_ffmpeg
from k150k_pipeline.media.tools import ToolError, run_tool, tool_errors
from tests.support.waiting import DEATH_GUARD_S, HANG_GUARD_S, comes_true, in_time, wait_until


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def dies(pid: int) -> bool:
    return comes_true(lambda: is_gone(pid), DEATH_GUARD_S)


def test_output_and_exit_status():
    result = run_tool(["sh", "-c", "printf out; printf err >&2; exit 3"], timeout_s=HANG_GUARD_S)
    assert (result.returncode, result.stdout, result.stderr) == (3, b"out", "err")
    assert "exit status 3" in result.describe() and "err" in result.describe()


def test_time_limit_kills_the_whole_group(tmp_path):
    script = f"sleep 1000 & echo no driver >&2; echo $! > {tmp_path}/pid; wait"

    def started_and_ended(limit: float) -> None:
        with pytest.raises(ToolError, match=r"of `sh -c 'sleep 1000 .*`: no driver$"):
            run_tool(["sh", "-c", script], timeout_s=limit)
        assert (tmp_path / "pid").read_text(), "too early"

    (tmp_path / "pid").touch()
    in_time(started_and_ended, 0.5)
    assert dies(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("kill -KILL $$", "killed"),
        ("kill -TERM $$", "killed"),
        ("kill -SEGV $$", "crashed"),
        ("echo '[fatal] Error while filtering: Cannot allocate memory' >&2; exit 244", "memory"),
        ("echo 'terminate called: std::bad_alloc' >&2; kill -ABRT $$", "memory"),
    ],
)
def test_end_that_is_not_the_tools_own(script, reason):
    with pytest.raises(ToolError) as caught:
        run_tool(["sh", "-c", script], timeout_s=60)
    assert caught.value.reason == reason
    with pytest.raises(ClipError) as failed, tool_errors("decode", Path("/a.mp4"), "sh"):
        run_tool(["sh", "-c", script], timeout_s=60)
    error = failed.value
    assert (error.stage, error.reason) == ("decode", reason)
    assert error.detail.startswith("/a.mp4: ") and script.split()[0] in error.detail


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGXCPU])
@pytest.mark.parametrize("verbosity", ["level+verbose", "info"])
def test_signal_that_ffmpeg_catches(number, verbosity):
    """ffmpeg ends with exit status 255 then, as if the clip were to blame."""
    source = "testsrc2=s=64x64:r=25,realtime"
    command = [find_ffmpeg(), "-nostdin", "-v", verbosity, "-f", "lavfi", "-i", source]
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(run_tool, [*command, "-f", "null", "-"], timeout_s=HANG_GUARD_S)
        ffmpeg_that_catches(number).send_signal(number)
        with pytest.raises(ToolError) as caught:
            run.result()
    assert caught.value.reason == "killed" and f"signal {int(number)}" in caught.value.detail


def test_signal_that_ffmpeg_catches_while_it_opens_its_input(tmp_path):
    """ffmpeg ends with exit status 0 then, as if it had done its work."""
    os.mkfifo(tmp_path / "clip.mp4")
    command = [find_ffmpeg(), "-nostdin", "-v", "level+verbose", "-i", str(tmp_path / "clip.mp4")]
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(run_tool, [*command, "-f", "null", "-"], timeout_s=HANG_GUARD_S)
        ffmpeg_that_catches(signal.SIGTERM).terminate()
        # Open at both ends, so that neither side waits for the other, before the signal or after.
        with os.fdopen(os.open(tmp_path / "clip.mp4", os.O_RDWR), "wb") as clip:
            clip.write(b"begun")
            clip.flush()
            with pytest.raises(ToolError, match="exit status 0 of") as caught:
                run.result()
    assert caught.value.reason == "killed"


def test_title_of_a_clip_that_reads_like_a_signal(make_clip):
    title = "Exiting normally, received signal 15."
    path = make_clip(
        "-metadata", f"title={title}", "-metadata", f"comment=a\n{title}\n[info] {title}"
    )
    command = [find_ffmpeg(), "-nostdin", "-v", "level+verbose", "-i", str(path), "-f", "null", "-"]
    result = run_tool(command, timeout_s=HANG_GUARD_S)
    assert result.returncode == 0 and result.stderr.count(title) >= 3


def ffmpeg_that_catches(number: int) -> psutil.Process:
    """Wait for a child that is an ffmpeg and has installed its handler of a signal."""
    found: list[psutil.Process] = []

    def look() -> bool:
        found[:] = [p for p in psutil.Process().children() if catches(p, number)]
        return bool(found)

    wait_until(look)
    return found[0]


def catches(process: psutil.Process, number: int) -> bool:
    """Tell whether a process is an ffmpeg that has installed its handler of a signal.

    One reading answers both: before it becomes ffmpeg, the child is a Python with handlers too.
    """
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return False
    facts = dict(line.split(":", 1) for line in status.splitlines())
    return facts["Name"].strip().startswith("ffmpeg") and bool(
        int(facts["SigCgt"], 16) >> (number - 1) & 1
    )


def test_words_about_memory_of_a_tool_that_did_its_work():
    script = "echo Cannot allocate memory >&2"
    assert run_tool(["sh", "-c", script], timeout_s=60).returncode == 0


def test_tool_that_does_not_exist():
    with pytest.raises(FileNotFoundError):
        run_tool(["/nowhere/tool"], timeout_s=1)


def test_tool_reads_no_input():
    assert run_tool(["cat"], timeout_s=HANG_GUARD_S).stdout == b""


def test_more_output_than_a_pipe_holds():
    script = "import sys; sys.stderr.write('e' * 300000); sys.stdout.write('o' * 300000)"
    result = run_tool([sys.executable, "-c", script], timeout_s=HANG_GUARD_S)
    assert (len(result.stdout), len(result.stderr)) == (300000, 300000)


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_tool_dies_with_its_parent(tmp_path, death):
    script = (
        "import sys; from k150k_pipeline.media.tools import run_tool; "
        f"run_tool(['sh', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 1000'], timeout_s=1000)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    pid = tmp_path / "pid"
    wait_until(lambda: pid.exists() and pid.read_text().endswith("\n"))
    os.kill(parent.pid, death)
    parent.wait()
    assert dies(int(pid.read_text()))
