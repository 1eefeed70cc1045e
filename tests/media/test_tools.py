from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from k150k_pipeline.media.tools import ToolTimeoutError, run_tool


def gone(pid: int, seconds: float = 2.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_output_and_exit_status():
    result = run_tool(["sh", "-c", "printf out; printf err >&2; exit 3"], timeout_s=5)
    assert (result.returncode, result.stdout, result.stderr) == (3, b"out", "err")
    assert "exit status 3" in result.describe() and "err" in result.describe()


def test_time_limit_kills_the_whole_group(tmp_path):
    script = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
    started = time.monotonic()
    with pytest.raises(ToolTimeoutError, match="sleep 60"):
        run_tool(["sh", "-c", script], timeout_s=0.5)
    assert time.monotonic() - started < 5
    assert gone(int((tmp_path / "pid").read_text()))


def test_tool_that_does_not_exist():
    with pytest.raises(FileNotFoundError):
        run_tool(["/nowhere/tool"], timeout_s=1)


def test_tool_reads_no_input():
    assert run_tool(["cat"], timeout_s=5).stdout == b""


def test_more_output_than_a_pipe_holds():
    script = "import sys; sys.stderr.write('e' * 300000); sys.stdout.write('o' * 300000)"
    result = run_tool([sys.executable, "-c", script], timeout_s=20)
    assert (len(result.stdout), len(result.stderr)) == (300000, 300000)


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_tool_dies_with_its_parent(tmp_path, death):
    script = (
        "import sys; from k150k_pipeline.media.tools import run_tool; "
        f"run_tool(['sh', '-c', 'echo $$ > {tmp_path}/pid; sleep 60'], timeout_s=60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 20
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)
    os.kill(parent.pid, death)
    parent.wait()
    assert gone(int((tmp_path / "pid").read_text()))
