"""A helper comes back from everything that a clip can do to it, and says what that was."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from k150k_pipeline.errors import ClipError, EngineError, InputError
from k150k_pipeline.isolation import ClipTask, Helper, HelperPool
from tests.isolation import work

LIMIT_MB = 512
PATIENCE_S = 60.0
TASK = ClipTask("score", Path("/clips/a.mp4"), PATIENCE_S)
SOON = ClipTask("score", Path("/clips/a.mp4"), 0.5)


@pytest.fixture
def helper():
    with Helper(LIMIT_MB) as helper:
        yield helper


def wait_until(is_so) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, "nothing happens"
        time.sleep(0.01)


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def failure(helper, task, function, *arguments) -> ClipError:
    with pytest.raises(ClipError) as caught:
        helper.call(task, function, *arguments)
    assert helper.call(TASK, work.add, 1, b=2) == 3, "the next call finds a helper"
    return caught.value


def test_calls_go_to_one_child_that_is_not_this_process(helper):
    first = helper.call(TASK, work.pid)
    assert first == helper.call(TASK, work.pid) == helper.pid != os.getpid()


def test_child_imports_only_what_it_is_asked_for(helper):
    loaded = helper.call(TASK, work.modules)
    assert not {"kedro", "pandas", "pyarrow", "av", "numpy", "pydantic"} & set(loaded)


@pytest.mark.parametrize(
    "error",
    [
        ClipError("decode", "truncated", "half of it"),
        EngineError("no ffmpeg"),
        InputError("no such file: a.csv"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_that_callers_know_arrive_as_themselves(helper, error):
    with pytest.raises(type(error)) as caught:
        helper.call(TASK, work.raise_error, error)
    assert caught.value.args == error.args
    assert helper.call(TASK, work.add, 1) == 1


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE])
def test_crash(helper, number):
    error = failure(helper, TASK, work.die_of, number)
    assert (error.stage, error.reason) == ("score", "crashed")
    assert error.detail.startswith("/clips/a.mp4: ") and number.name in error.detail


def test_real_segmentation_fault(helper):
    error = failure(helper, TASK, work.read_address_zero)
    assert error.reason == "crashed" and "SIGSEGV" in error.detail


def test_last_words_are_kept_and_tell_want_of_memory_from_a_crash(helper):
    error = failure(helper, TASK, work.abort_with, "corrupted double-linked list")
    assert error.reason == "crashed" and "corrupted double-linked list" in error.detail
    error = failure(helper, TASK, work.abort_with, "memory allocation of 262144 bytes failed")
    assert error.reason == "memory"
    error = failure(helper, TASK, work.abort_with, "terminate called: std::bad_alloc")
    assert error.reason == "memory"


def test_words_of_an_earlier_call_are_not_those_of_a_later_one(helper):
    for _ in range(3):
        assert helper.call(TASK, work.tool_status, "sh", "-c", "echo loud >&2")[0] == 0
    failure(helper, TASK, work.abort_with, "first")
    assert "first" not in failure(helper, TASK, work.abort_with, "second").detail


def test_exit(helper):
    error = failure(helper, TASK, work.leave, 3)
    assert error.reason == "crashed" and "exit status 3" in error.detail


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_signal_from_elsewhere_is_not_the_clips_fault(helper, number):
    error = failure(helper, TASK, work.die_of, number)
    assert error.reason == "killed" and number.name in error.detail


def test_clip_is_not_blamed_by_a_helper_that_worked_before(helper, tmp_path):
    """What one clip does to a process may kill it at the next clip."""
    old = helper.call(TASK, work.pid)
    note = str(tmp_path / "done")
    assert helper.call(TASK, work.die_of, signal.SIGSEGV, note, 7) == 7
    assert helper.pid != old


def test_idle_child_that_was_killed_costs_nothing(helper):
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        pid = helper.call(TASK, work.pid)
        os.kill(pid, number)
        wait_until(lambda pid=pid: ended(pid))
        assert helper.call(TASK, work.add, 2) == 2


def test_unexpected_exception_is_a_failure_of_the_clip(helper):
    error = failure(helper, TASK, work.raise_error, OverflowError("too long"))
    assert error.reason == "crashed"
    assert "OverflowError" in error.detail and "work.py" in error.detail
    assert failure(helper, TASK, work.unpicklable).reason == "crashed"


def test_full_disk_is_no_fault_of_the_clip(helper):
    with pytest.raises(EngineError, match="No space left"):
        helper.call(TASK, work.raise_error, OSError(errno.ENOSPC, "No space left on device"))


def test_want_of_memory(helper):
    assert helper.call(TASK, work.take, LIMIT_MB // 2) == (LIMIT_MB // 2) << 20
    error = failure(helper, TASK, work.take, 2 * LIMIT_MB)
    assert (error.stage, error.reason) == ("score", "memory")
    error = failure(helper, TASK, work.raise_caused_by_want_of_memory)
    assert error.reason == "memory" and "looks bad" in error.detail


def test_limits_hold_for_the_child_and_for_its_tools(helper):
    seen = helper.call(TASK, work.situation)
    limit = LIMIT_MB << 20
    assert seen["data"] == (limit, limit) and seen["core"] == (0, 0) and seen["oom"] == "1000"
    assert seen["session"] == seen["pid"]
    assert seen["tool"] == [str(LIMIT_MB << 10).encode(), b"0", b"1000"]


@pytest.mark.parametrize("function", [work.hang, work.hold])
def test_time_limit(helper, tmp_path, function):
    helper.call(TASK, work.add, 1)
    started = time.monotonic()
    error = failure(helper, SOON, function, str(tmp_path / "note"))
    assert time.monotonic() - started < PATIENCE_S
    assert (error.stage, error.reason) == ("score", "timeout")
    assert ended(int((tmp_path / "note").read_text()))


def test_time_limit_ends_tools_and_their_children(helper, tmp_path):
    note = tmp_path / "note"
    error = failure(helper, ClipTask("score", Path("a.mp4"), 3.0), work.run_for_ever, str(note))
    assert error.reason == "timeout" and "sh, sleep was running" in error.detail
    tool, its_child = map(int, note.read_text().split())
    assert ended(tool) and ended(its_child)


def test_fifo_that_nobody_writes_to(helper, tmp_path):
    os.mkfifo(tmp_path / "clip.mp4")
    helper.call(TASK, work.add, 1)
    assert failure(helper, SOON, work.read_all, str(tmp_path / "clip.mp4")).reason == "timeout"


def test_stopped_child_is_ended(helper, tmp_path):
    helper.call(TASK, work.add, 1)
    error = failure(helper, SOON, work.die_of, signal.SIGSTOP)
    assert error.reason == "timeout"


def test_dead_child_leaves_no_tool_behind(helper, tmp_path):
    note = tmp_path / "note"
    caught: list[ClipError] = []

    def call() -> None:
        try:
            helper.call(TASK, work.run_for_ever, str(note))
        except ClipError as error:
            caught.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    wait_until(note.exists)
    os.kill(helper.pid, signal.SIGKILL)
    thread.join(PATIENCE_S)
    assert caught[0].reason == "killed"
    assert all(ended(int(pid)) for pid in note.read_text().split())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_the_process_that_owns_the_helper(tmp_path, number):
    note = tmp_path / "note"
    script = (
        "from tests.isolation.test_helper import *; "
        f"Helper({LIMIT_MB}).call(TASK, work.run_for_ever, {str(note)!r})"
    )
    owner = subprocess.Popen([sys.executable, "-c", script])
    wait_until(note.exists)
    tool, child_of_tool = map(int, note.read_text().split())
    helper_pid = psutil.Process(tool).ppid()
    assert psutil.Process(helper_pid).ppid() == owner.pid
    os.kill(owner.pid, number)
    owner.wait()
    wait_until(lambda: ended(helper_pid) and ended(tool))
    os.kill(child_of_tool, signal.SIGKILL)  # the kernel tells only the tool of its parent's death


def test_closed_helper_leaves_nobody(tmp_path):
    with Helper(LIMIT_MB) as helper:
        pid = helper.call(TASK, work.pid)
    assert ended(pid) and helper.pid is None


def test_child_that_cannot_start(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Helper(LIMIT_MB) as helper, pytest.raises(EngineError, match="exit status 1"):
        helper.call(TASK, work.add, 1)


def test_helper_outlives_the_thread_whose_call_started_it():
    seen: list[int] = []
    with Helper(LIMIT_MB) as helper:
        thread = threading.Thread(target=lambda: seen.append(helper.call(TASK, work.pid)))
        thread.start()
        thread.join()
        wait_until(lambda: not Path(f"/proc/self/task/{thread.native_id}").exists())
        assert [helper.call(TASK, work.pid)] == seen


def test_pool_serves_threads_side_by_side():
    with HelperPool(2, LIMIT_MB) as pool:
        seen: list[int] = []
        threads = [
            threading.Thread(target=lambda: seen.append(pool.call(TASK, work.pid)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seen) == 8 and all(ended(pid) for pid in seen)
