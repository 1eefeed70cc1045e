"""Faults at one chosen system call of a run: a kill, a torn write, a power cut, an error.

A small library, made from ``faults.c`` by the C compiler of the machine and preloaded into a Kedro
server, wraps the calls of libc that change files. A forked run arms it for one folder. From then on
it counts these calls, in all threads, and acts at the call with the chosen number. Without an
action it writes the list of calls, which are the points at which a run can be interrupted. The
calls of pyarrow and of every other library in the process count too.

A preload and not ``strace --inject``: it needs no right to trace other processes and no tool that
continuous integration lacks, it does not slow the run down, it can write half of a line or drop
what was not synced, and processes that the run starts, such as ffmpeg, are left alone.
"""

from __future__ import annotations

import enum
import errno
import functools
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.support.kedro_server import FAULT, KedroServer

_SOURCE = Path(__file__).with_suffix(".c")


class Call(enum.IntFlag):
    """Kinds of calls; an ``open`` counts if it writes or creates."""

    open = enum.auto()
    write = enum.auto()
    fsync = enum.auto()
    rename = enum.auto()
    unlink = enum.auto()
    link = enum.auto()
    mkdir = enum.auto()
    rmdir = enum.auto()
    truncate = enum.auto()


EVERY_CALL = ~Call(0)


class Action(enum.IntEnum):
    """What happens at the chosen call.

    ``tear`` writes half of the bytes and kills. ``power_cut`` kills before the call, and files and
    names that were not synced are lost. ``fail_on`` fails this call and all later ones; a write
    takes half of its bytes first, as on a disk that fills up.
    """

    none = 0
    kill_before = enum.auto()
    kill_after = enum.auto()
    tear = enum.auto()
    power_cut = enum.auto()
    fail_once = enum.auto()
    fail_on = enum.auto()


@dataclass(frozen=True)
class Fault:
    """A fault, or with the default action a count of calls.

    Attributes:
        folder: Calls on paths in it count.
        calls: Kinds that count.
        number: Number of the call, from 1.
        action: What happens there.
        error: Error number of a failure.
        trace: File outside the folder for the list of calls; empty: none.
    """

    folder: str
    calls: Call = EVERY_CALL
    number: int = 0
    action: Action = Action.none
    error: int = errno.ENOSPC
    trace: str = ""


@dataclass(frozen=True)
class Point:
    """A call of an uninterrupted run.

    Attributes:
        number: Its number.
        call: Its kind.
        path: The path, relative to the folder.
    """

    number: int
    call: Call
    path: str


def points(trace: Path, folder: Path) -> list[Point]:
    """Return the calls that a trace lists."""
    lines = [line.split("\t") for line in trace.read_text().splitlines()]
    return [
        Point(int(number), Call[call], os.path.relpath(path, folder))
        for number, call, path in lines
    ]


def environment(fault: Fault) -> dict[str, str]:
    """Return the variable by which a forked run of the server arms itself."""
    return {FAULT: json.dumps({"library": str(library()), **asdict(fault)})}


def find_compiler() -> str | None:
    """Return the C compiler of the machine, if it has one."""
    return shutil.which("cc") or shutil.which("gcc")


@functools.cache
def library() -> Path:
    """Make the library, once in a test process; skip the test where there is no C compiler."""
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("no C compiler (cc, gcc), which makes the library that injects faults")
    target = Path(_build_folder().name) / "faults.so"
    options = ("-shared", "-fPIC", "-O1", "-o", str(target))
    subprocess.run([compiler, *options, str(_SOURCE), "-ldl", "-pthread"], check=True)
    return target


@functools.cache
def _build_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="faults-")


@functools.cache
def fault_server() -> KedroServer:
    """Return a server of this test process whose runs can be armed."""
    return KedroServer({"LD_PRELOAD": str(library())})
