"""Why a process ended that was not meant to: its clip, its memory, or somebody else."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from k150k_pipeline.errors import KILLED

CRASHED = "crashed"
MEMORY = "memory"
LOST = "lost"
"""Reason of an end that nobody saw: the machine went away, or whoever watched the process did."""

_CRASHES = {
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGSEGV,
    signal.SIGSYS,
    signal.SIGTRAP,
}
_OOM_KILLS = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)
_NO_MEMORY = re.compile(
    r"Cannot allocate memory|memory allocation of \d+ bytes failed|bad_alloc|^MemoryError",
    re.MULTILINE,
)


def count_oom_kills() -> int:
    """Return how many processes the kernel has killed for want of memory since it started.

    That is the count of the whole machine, its control groups included; 0 where it is not told.
    """
    try:
        match = _OOM_KILLS.search(Path("/proc/vmstat").read_bytes())
    except OSError:
        return 0
    return int(match[1]) if match else 0


def lacks_memory(text: str) -> bool:
    """Tell whether a program says that it got no memory."""
    return _NO_MEMORY.search(text) is not None


def reason_of_death(returncode: int, oom_kills_before: int, said: str = "") -> str:
    """Return the countable reason of an end by a signal, or of an exit that was not meant to be.

    A kill is the kernel's for want of memory when it has killed anybody in the meantime.

    Args:
        returncode: Exit status; negative is the signal.
        oom_kills_before: What :func:`count_oom_kills` was before.
        said: What the process wrote to stderr.

    Returns:
        ``crashed`` and ``memory`` are the clip's fault, ``killed`` is somebody else's.
    """
    if -returncode == signal.SIGKILL and count_oom_kills() > oom_kills_before:
        return MEMORY
    if returncode < 0 and -returncode not in _CRASHES:
        return KILLED
    return MEMORY if lacks_memory(said) else CRASHED


NOBODY_SAW = (LOST, "its worker process ended and nobody saw how")

_end_of_predecessor = NOBODY_SAW


def note_predecessor(reason: str, detail: str) -> None:
    """Tell this process how the one ended whose place it takes.

    Args:
        reason: As :func:`reason_of_death` returns it, or ``lost``.
        detail: For a person.
    """
    global _end_of_predecessor
    _end_of_predecessor = reason, detail


def end_of_predecessor() -> tuple[str, str]:
    """Return reason and detail of the end of the process whose place this one has taken."""
    return _end_of_predecessor


def describe_end(returncode: int) -> str:
    """Return how a process ended, for a person: its signal by name, or its exit status."""
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"signal {signal.Signals(-returncode).name}"
    except ValueError:
        return f"signal {-returncode}"
