"""The library that injects faults does what the crash tests take it to do."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.support.faults import Action, Call, Fault, environment, library, points
from tests.support.kedro_server import FAULT

SCRIPT = """
import json, os, subprocess, sys, threading
from pathlib import Path
from tests.support.kedro_server import FAULT, arm
folder = Path(sys.argv[1])
arm(**json.loads(os.environ[FAULT]))
(folder.parent / "elsewhere").write_text("1234567890")
subprocess.run(["sh", "-c", f"echo child > {folder}/child"])
file = os.open(folder / "lines", os.O_WRONLY | os.O_CREAT)
os.fsync(os.open(folder, os.O_RDONLY))
def write():
    try:
        print(os.write(file, b"1234567890"))
    except OSError as error:
        print(error.errno)
write()
os.fsync(file)
thread = threading.Thread(target=write)
thread.start(); thread.join()
(folder / "unsynced").touch()
os.rename(folder / "unsynced", folder / "renamed")
os.truncate(folder / "renamed", 3)
os.link(folder / "lines", folder / "linked")
os.unlink(folder / "renamed")
"""
CALLS = ["open", "fsync", "write", "fsync", "write", "open", "rename", "truncate", "link", "unlink"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


def run(fault: Fault) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, fault.folder],
        cwd=CHECKOUT,
        env={**os.environ, **environment(fault), "LD_PRELOAD": str(library())},
        capture_output=True,
        text=True,
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != "child"}


def test_calls_are_counted_in_this_process_and_folder_alone(folder, tmp_path):
    trace = tmp_path / "trace"
    assert run(Fault(str(folder), trace=str(trace))) == (0, "10\n10\n")
    found = points(trace, folder)
    assert [point.call.name for point in found] == CALLS
    assert [point.number for point in found] == list(range(1, len(CALLS) + 1))
    paths = ["lines", ".", *["lines"] * 3, "unsynced", *["renamed"] * 2, "linked", "renamed"]
    assert [point.path for point in found] == paths
    assert contents(folder) == dict.fromkeys(("lines", "linked"), "1234567890" * 2)


@pytest.mark.parametrize(
    ("number", "action", "left"),
    [
        (1, Action.kill_before, {}),
        (1, Action.kill_after, {"lines": ""}),
        (5, Action.kill_before, {"lines": "1234567890"}),
        (5, Action.kill_after, {"lines": "1234567890" * 2}),
        (5, Action.tear, {"lines": "123456789012345"}),
        (4, Action.power_cut, {"lines": ""}),
        (5, Action.power_cut, {"lines": "1234567890"}),
        (6, Action.power_cut, {"lines": "1234567890"}),
        (9, Action.power_cut, {"lines": "1234567890"}),
        (8, Action.kill_before, {"lines": "1234567890" * 2, "renamed": ""}),
        (8, Action.kill_after, {"lines": "1234567890" * 2, "renamed": "\0\0\0"}),
        (10, Action.power_cut, {"lines": "1234567890", "linked": "1234567890"}),
    ],
)
def test_kill(folder, number, action, left):
    status, _ = run(Fault(str(folder), number=number, action=action))
    assert status == -signal.SIGKILL
    assert contents(folder) == left
    assert (folder / "child").exists() and (folder.parent / "elsewhere").exists()


def test_error(folder):
    assert run(Fault(str(folder), Call.write, 1, Action.fail_once, errno.EIO)) == (0, "5\n10\n")
    assert contents(folder)["lines"] == "1234567890"


def test_disk_that_fills_up_takes_half_of_a_write(folder):
    assert run(Fault(str(folder), Call.write, 1, Action.fail_on, errno.ENOSPC)) == (0, "5\n28\n")
    assert contents(folder)["lines"] == "12345"


def test_variable_names_the_library(folder):
    fault = json.loads(environment(Fault(str(folder)))[FAULT])
    assert Path(fault["library"]).is_file() and fault["calls"] == 511
