"""Folders that belong to one process, and are removed by others once it is dead."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path

from k150k_pipeline.errors import InputError
from k150k_pipeline.storage.places import root

_START_FIELD = 19  # of /proc/PID/stat, behind the name of the program


def process_name() -> str:
    """Return a name of this process that no other one of this machine ever has again."""
    pid = os.getpid()
    return "-".join(map(str, (*_machine(), pid, _started(pid))))


def is_dead(name: str) -> bool:
    """Return whether the process of such a name has ended; of another machine's, False."""
    try:
        host, boot, namespace, pid, started = map(int, name.split("-"))
    except ValueError:
        return False
    own = _machine()
    if (host, boot) != own[:2]:
        return host == own[0]  # the machine has started anew since
    return namespace == own[2] and _started(pid) != started


def require_root() -> Path:
    """Make the folder of all copies and scratch, for this user alone, and return it.

    Raises:
        InputError: Another user has made it, or the disk refuses.
    """
    folder = root()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise InputError(
            f"{folder}, for copies of what is in a store, cannot be made ({error.strerror}): name "
            "another place in the environment variable TMPDIR"
        ) from error
    private = stat.S_ISDIR(status.st_mode) and not stat.S_IMODE(status.st_mode) & 0o077
    if status.st_uid != os.getuid() or not private:
        raise InputError(
            f"{folder} is not a folder of this user alone: remove it, or name another place in "
            "the environment variable TMPDIR"
        )
    return folder


def own_folder() -> Path:
    """Make the scratch folder of this process; those of dead processes are removed."""
    folder = require_root()
    for stale in folder.glob("clips-*"):
        if is_dead(stale.name.removeprefix("clips-")):
            shutil.rmtree(stale, ignore_errors=True)
    own = folder / f"clips-{process_name()}"
    own.mkdir(mode=0o700, exist_ok=True)
    return own


def remove_empty(folder: Path) -> None:
    """Remove a folder and those in it that have no file."""
    for path, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(path).rmdir()


@cache
def _machine() -> tuple[int, int, int]:
    """Return numbers of this machine, of its present start, and of this namespace of processes."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    return zlib.crc32(socket.gethostname().encode()), zlib.crc32(boot), namespace


def _started(pid: int) -> int | None:
    """Return when a process started, in ticks since the machine did; None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[_START_FIELD - 1])
