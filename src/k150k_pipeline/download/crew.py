"""Many clips at a time, and the line between a lost clip and a lost network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from k150k_pipeline.download.failures import UNREACHABLE
from k150k_pipeline.errors import ClipError, InputError

Item = TypeVar("Item")


async def work_off(
    items: Iterable[Item], handle: Callable[[Item], Awaitable[None]], hands: int
) -> None:
    """Handle every item, so many at a time; the first error stops all.

    Raises:
        Exception: What ``handle`` raised first.
    """
    queue = iter(items)

    async def work() -> None:
        for item in queue:
            await handle(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(hands):
                group.create_task(work())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


class NetworkWatch:
    """Keeps clips that no server answered for from being given up while the network is down.

    Their failures are held back until something answers; too many in a row end the run.

    Args:
        limit: So many in a row are too many.
        give_up: Called for each clip that failed for good, with its failure.
    """

    def __init__(self, limit: int, give_up: Callable[[str, ClipError], None]) -> None:
        self._limit = limit
        self._give_up = give_up
        self._held: dict[str, ClipError] = {}

    def failed(self, name: str, error: ClipError) -> None:
        """Take note of a failure.

        Raises:
            InputError: Nothing answers any more.
        """
        if error.reason not in UNREACHABLE:
            self.answered()
            self._give_up(name, error)
            return
        self._held[name] = error
        if len(self._held) >= self._limit:
            raise InputError(
                f"{len(self._held)} clips in a row had no answer, or one that stalled; last: "
                f"{error}. They are not marked as failed. Mend the network (or raise "
                "ingest.download.unreachable_limit) and run again"
            )

    @property
    def held(self) -> dict[str, ClipError]:
        """Failures held back: nothing has answered since."""
        return dict(self._held)

    def answered(self) -> None:
        """Some server answered: what is held back is really lost."""
        for name, error in self._held.items():
            self._give_up(name, error)
        self._held.clear()
