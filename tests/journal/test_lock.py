from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys

import pytest

from k150k_pipeline.journal import lock as lock_module
from k150k_pipeline.journal.lock import OutputInUseError, RunLock, read_holder

HOLD = (
    "import sys, time; from pathlib import Path; from k150k_pipeline.journal.lock import RunLock; "
    "RunLock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(1000)"
)


@pytest.fixture
def other(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    yield holder
    holder.kill()
    holder.wait()


def test_second_holder_is_refused_and_the_message_names_the_first(tmp_path, other):
    with pytest.raises(OutputInUseError) as caught:
        RunLock(tmp_path / "lock").acquire()
    assert str(other.pid) in str(caught.value)
    assert socket.gethostname() in str(caught.value)
    assert read_holder(tmp_path / "lock")["pid"] == other.pid


def test_lock_ends_with_its_holder(tmp_path, other):
    other.kill()
    other.wait()
    lock = RunLock(tmp_path / "lock")
    lock.acquire()
    assert read_holder(tmp_path / "lock")["pid"] == os.getpid()
    lock.release()
    assert read_holder(tmp_path / "lock") is None


def test_children_do_not_inherit_the_lock(tmp_path):
    lock = RunLock(tmp_path / "lock")
    lock.acquire()
    child = subprocess.Popen(["sleep", "1000"])
    lock.release()
    RunLock(tmp_path / "lock").acquire()
    child.kill()
    child.wait()


def test_lock_without_a_file_has_no_holder(tmp_path):
    assert read_holder(tmp_path / "lock") is None


POLL = (
    "import sys; from pathlib import Path; from k150k_pipeline.journal.lock import read_holder\n"
    "path = Path(sys.argv[1])\n"
    "while True:\n"
    "    seen = [read_holder(path) for _ in range(50)]\n"
    "    print(sum(holder is not None for holder in seen), flush=True)"
)


def test_a_run_starts_at_any_moment_of_a_status(tmp_path, monkeypatch):
    """Before and after every system call of a status, a run can start."""
    path, starts = tmp_path / "lock", []
    path.touch()

    def start_run(*_):
        lock = RunLock(path)
        lock.acquire()
        lock.release()
        starts.append(1)

    class Watched:
        """A module whose functions are called with a start of a run before and after."""

        def __init__(self, module):
            self._module = module

        def __getattr__(self, name):
            found = getattr(self._module, name)
            if not callable(found):
                return found

            def call(*arguments):
                with monkeypatch.context() as inner:  # a run's own calls are not watched
                    inner.setattr(lock_module, "os", os)
                    inner.setattr(lock_module, "fcntl", fcntl)
                    start_run()
                    result = found(*arguments)
                    start_run()
                return result

            return call

    monkeypatch.setattr(lock_module, "os", Watched(os))
    monkeypatch.setattr(lock_module, "fcntl", Watched(fcntl))
    assert read_holder(path) is None
    assert len(starts) >= 2 * len(("open", "fcntl", "close"))


def test_hundreds_of_runs_start_while_others_ask_for_the_holder(tmp_path):
    path = tmp_path / "lock"
    pollers = [
        subprocess.Popen([sys.executable, "-c", POLL, path], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    seen = 0
    try:
        for number in range(600):
            lock = RunLock(path)
            lock.acquire()
            if number % 20 == 0:  # some of the runs last until everybody has asked for a while
                seen += sum(int(poller.stdout.readline()) for poller in pollers)
            assert read_holder(path)["pid"] == os.getpid()
            lock.release()
    finally:
        for poller in pollers:
            poller.kill()
            poller.communicate()
    assert seen > 0, "nobody asked while a run was there"


def test_second_run_is_refused_while_others_ask_for_the_holder(tmp_path, other):
    path = tmp_path / "lock"
    poller = subprocess.Popen([sys.executable, "-c", POLL, path], stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(100):
            with pytest.raises(OutputInUseError):
                RunLock(path).acquire()
        poller.stdout.readline()
        assert int(poller.stdout.readline()) == 50, "the holder was not seen every time"
    finally:
        poller.kill()
        poller.communicate()


@pytest.mark.parametrize("text", [b"", b"[1]", b"{", b"\xff\xfe", b"null"])
def test_holder_whose_name_cannot_be_read_holds_the_lock_all_the_same(tmp_path, other, text):
    path = tmp_path / "lock"
    path.write_bytes(text)
    assert read_holder(path) == {}
    with pytest.raises(OutputInUseError, match="process unknown on host unknown"):
        RunLock(path).acquire()


def test_pipe_in_the_place_of_a_lock_has_no_holder(tmp_path):
    os.mkfifo(tmp_path / "lock")
    assert read_holder(tmp_path / "lock") is None
