from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

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
