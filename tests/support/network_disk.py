"""A Kedro server whose runs have a folder that refuses locks and memory maps.

A library, made from ``network_disk.c`` by the C compiler of the machine and preloaded, answers
locks of files in the folder with ENOLCK and memory maps with ENODEV, and writes both into a log.
It stands in for a loopback NFS mount, which kernels of continuous integration do not have.
"""

from __future__ import annotations

import functools
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.faults import find_compiler
from tests.support.kedro_server import KedroServer

_SOURCE = Path(__file__).with_suffix(".c")


def environment(folder: Path, log: Path) -> dict[str, str]:
    """Return the variables by which a run of the server has such a folder."""
    return {"K150K_TEST_DISK": str(folder), "K150K_TEST_DISK_LOG": str(log)}


def refusals(log: Path) -> list[tuple[str, str]]:
    """Return what was refused, ``lock`` or ``map``, and the names of the files."""
    lines = log.read_text().splitlines() if log.exists() else []
    found = (line.split("\t") for line in lines)
    return [(what, path.rpartition("/")[2]) for what, path in found]


@functools.cache
def _build_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="disk-")


@functools.cache
def network_disk_server() -> KedroServer:
    """Return the server of this test process; skip the test where there is no C compiler."""
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("no C compiler (cc, gcc), which makes the library that refuses")
    library = Path(_build_folder().name) / "network_disk.so"
    options = ("-shared", "-fPIC", "-O1", "-o", str(library))
    subprocess.run([compiler, *options, str(_SOURCE), "-ldl"], check=True)
    return KedroServer({"LD_PRELOAD": str(library)})
