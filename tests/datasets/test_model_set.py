"""A model set is the old one or the new one, whole: every moment of its saving is tried."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kedro.io import DatasetError

from k150k_pipeline.datasets import ModelSetDataset
from k150k_pipeline.datasets.model_set import publish, read_current

OLD = {"m.onnx": b"old" * 1000, "m.json": b"{}", "MOS_HOLD.json": b"old"}
NEW = {"m.onnx": b"new" * 2000, "m.json": b"[]", "MOS_PROMOTE.json": b"new"}

EVENTS = ("open", "os.mkdir", "os.rename", "os.symlink", "os.remove", "os.rmdir", "os.fsync")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def kill_at(folder: Path, moment: int) -> bool:
    """Publish the new set in a child that dies at a moment; return whether it lived through.

    Moments are the calls that change the disk, or wait for it, in their order.
    """
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            sys.addaudithook(Victim(moment))
            os.fsync = audited(os.fsync)
            publish(folder, NEW)
            os._exit(0)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), status
    return status == 0


class Victim:
    """Kills its process before the n-th event."""

    def __init__(self, moment: int) -> None:
        self.left = moment

    def __call__(self, event: str, arguments: tuple) -> None:
        if event not in EVENTS or (event == "open" and not (arguments[2] or 0) & WRITES):
            return
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


def audited(function):
    """Return a function whose calls are seen by audit hooks; Python has no event for fsync."""

    def call(*arguments):
        sys.audit("os.fsync", *arguments)
        return function(*arguments)

    return call


def test_killed_at_every_moment_the_set_is_old_or_new_and_the_next_run_repairs_it(tmp_path):
    states, moment, finished = [], 0, False
    while not finished:
        folder = tmp_path / str(moment)
        publish(folder, OLD)
        finished = kill_at(folder, moment)
        current = read_current(folder)
        assert current.files in (OLD, NEW)
        named = [p.name for p in (folder / "current").iterdir() if p.name.startswith("MOS_")]
        assert len(named) == 1
        states.append(current.files == NEW)
        publish(folder, NEW)
        assert read_current(folder).files == NEW
        left = [p.name for p in folder.rglob(".*")]
        assert left == [], "leftovers of the killed run are removed"
        moment += 1
    assert moment > 12, "the kills missed the part that matters"
    assert states == sorted(states) and states[0] is False and states[-1] is True


def test_killed_at_every_moment_of_the_first_save_there_is_none_or_all(tmp_path):
    moment, finished = 0, False
    while not finished:
        folder = tmp_path / str(moment)
        finished = kill_at(folder, moment)
        try:
            assert read_current(folder).files == NEW
        except DatasetError as error:
            assert "there is no model set" in str(error)
            assert not finished
        moment += 1


def test_reader_that_came_before_the_switch_reads_one_version(tmp_path):
    publish(tmp_path, OLD)
    version = tmp_path / (tmp_path / "current").readlink()
    publish(tmp_path, NEW)
    assert (version / "m.onnx").read_bytes() == OLD["m.onnx"]


def test_same_set_twice_is_one_version(tmp_path):
    dataset = ModelSetDataset(filepath=str(tmp_path))
    assert not dataset.exists()
    for _ in range(2):
        dataset.save(OLD)
    assert dataset.exists() and len(list((tmp_path / "versions").iterdir())) == 1
    assert dataset.load().files == OLD
    assert json.loads(dataset.preview())["bytes"]["m.onnx"] == 3000
    sums = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "current")
    assert sums.returncode == 0


def test_changed_file_is_noticed_and_saving_again_replaces_it(tmp_path):
    target = publish(tmp_path, OLD)
    (target / "m.json").write_bytes(b"?")
    with pytest.raises(DatasetError, match=r"m\.json has changed"):
        read_current(tmp_path)
    publish(tmp_path, OLD)
    assert read_current(tmp_path).files == OLD


def test_full_disk_leaves_the_old_set(tmp_path):
    publish(tmp_path, OLD)
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            publish(tmp_path, NEW)
        except OSError:
            os._exit(7)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert read_current(tmp_path).files == OLD
    assert list((tmp_path / "versions").glob(".*")) == []
