"""What a process does to itself before it touches a clip; its own children inherit most of it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_FIRST_TO_GO = "1000"
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(expected_parent: int | None = None) -> None:
    """Ask the kernel to kill this process when its parent dies (Linux; elsewhere a no-op).

    The parent is the thread that started this process: its end counts as a death.

    Args:
        expected_parent: Process id of the parent. When it is given and is already gone,
            this process ends at once, since the kernel only reports deaths still to come.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if expected_parent is not None and os.getppid() != expected_parent:
        os._exit(1)


def confine(parent: int, memory_limit_mb: int) -> None:
    """Bind this process to its parent, bound its memory, leave no core, and go first.

    The limit holds for this process and for each of its children by itself: private memory that
    can be written to, which is heap, thread stacks and decoded pictures. Code, files that are
    mapped and shared memory are not in it. Address space, which a threaded program reserves by
    the gigabyte and never touches, is not limited.

    Args:
        parent: Process id of the parent.
        memory_limit_mb: Limit in MiB.
    """
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _lower(resource.RLIMIT_DATA, memory_limit_mb * 2**20)
    _lower(resource.RLIMIT_CORE, 0)
    with contextlib.suppress(OSError):  # a sandbox without /proc
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)


def _lower(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (limit, limit))
