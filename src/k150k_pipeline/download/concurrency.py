"""Several downloads at a time, and a lost network, which is not the fault of the clips."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from k150k_pipeline.download.failures import UNFETCHED
from k150k_pipeline.errors import ClipError, InputError

Item = TypeVar("Item")


async def for_each(
    items: Iterable[Item], handle: Callable[[Item], Awaitable[None]], limit: int
) -> None:
    """Handle every item, up to ``limit`` at a time; the first error stops all.

    Raises:
        Exception: The first error of ``handle``.
    """
    queue = iter(items)

    async def work() -> None:
        for item in queue:
            await handle(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(limit):
                group.create_task(work())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


class NetworkWatch:
    """Gives up no clip while the network is down.

    The failures of clips for which no server answered are held back until a server answers. If
    too many of them come in a row, the run ends.

    Args:
        limit: Number of clips without an answer, in a row, that ends the run.
        give_up: Called with name and failure of each clip that is given up.
    """

    def __init__(self, limit: int, give_up: Callable[[str, ClipError], None]) -> None:
        self._limit = limit
        self._give_up = give_up
        self._held: dict[str, ClipError] = {}

    def failed(self, name: str, error: ClipError) -> None:
        """Note a failure.

        Raises:
            InputError: The limit is reached.
        """
        if error.reason not in UNFETCHED:
            self.answered()
            self._give_up(name, error)
            return
        self._held[name] = error
        if len(self._held) >= self._limit:
            raise InputError(
                f"{len(self._held)} clips in a row had no answer, or one that stalled; last: "
                f"{error}. They are not marked as failed. Check the network (or raise "
                "ingest.download.unreachable_limit) and run again"
            )

    @property
    def held(self) -> dict[str, ClipError]:
        """The failures held back, by clip name."""
        return dict(self._held)

    def answered(self) -> None:
        """Note that a server answered, and give up the clips held back."""
        for name, error in self._held.items():
            self._give_up(name, error)
        self._held.clear()
