"""A time limit that stands still while this process is suspended."""

from __future__ import annotations

import time

TURN_S = 1.0
"""The longest wait without a look at the clock."""


class TimeLimit:
    """How long to wait for another process, in turns.

    A batch system, a container or a user may suspend a whole run for hours. None of them tells a
    process that it does, and the clock goes on. But nobody who runs waits much longer than a turn:
    a turn that took longer counts as one.

    Args:
        seconds: The limit.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._seen = time.monotonic()

    def turn(self) -> float:
        """Return for how many seconds to wait next: at most a turn, and 0 after the limit."""
        now = time.monotonic()
        self._left -= min(now - self._seen, TURN_S)
        self._seen = now
        return min(max(self._left, 0.0), TURN_S)
