"""Waiting for what happens, on a machine of any speed."""

from __future__ import annotations

import time
from collections.abc import Callable

HANG_GUARD_S = 300.0
"""Seconds after which something is taken to hang; far beyond what any test needs."""

DEATH_GUARD_S = 30.0
"""Seconds after which a process that should have died with its parent is taken to live on."""

_LONGER = (1, 5, 25, 125)


def comes_true(condition: Callable[[], bool], seconds: float = HANG_GUARD_S) -> bool:
    """Wait until a condition holds; return whether it ever did."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return condition()
        time.sleep(0.005)
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    assert comes_true(condition), f"not so within {HANG_GUARD_S:g} s"


def in_time(attempt: Callable[[float], None], seconds: float) -> None:
    """Make an attempt under a time limit, with longer ones if the machine is too busy for it.

    What is shown is that there is a limit that works. A slow machine needs a longer one, and a
    fault of the code needs one that does not exist.
    """
    for factor in _LONGER[:-1]:
        try:
            return attempt(seconds * factor)
        except Exception:
            continue
    return attempt(seconds * _LONGER[-1])
