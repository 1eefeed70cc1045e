"""Clips fetched to this disk ahead of their use, a few at a time, and removed after it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from k150k_pipeline.storage import scratch
from k150k_pipeline.storage.connection import Object
from k150k_pipeline.storage.copies import fetch_whole
from k150k_pipeline.storage.settings import current

_MIB = 2**20
_serial = count()


class FetchedAhead:
    """Fetches clips in the order in which they will be used.

    At most so many clips, and so many bytes, are on the disk as the settings say; a clip that is
    larger than that is there alone.

    Args:
        names: Names of the clips, in order; others can be had too, and are fetched when asked for.
        look: Returns the object of a clip; None if there is none.
    """

    def __init__(self, names: Sequence[str], look: Callable[[str], Object | None]) -> None:
        settings = current()
        self._look = look
        self._names = list(dict.fromkeys(names))
        self._turn = {name: turn for turn, name in enumerate(self._names)}
        self._next = 0
        self._window = settings.prefetch_clips
        self._room = _Room(settings.prefetch_mb * _MIB)
        self._coming: dict[str, Future[Path | None]] = {}
        self._here: tuple[str, Path | None] | None = None
        self._folder = scratch.own_folder() / str(next(_serial))
        self._threads = ThreadPoolExecutor(self._window, "fetch")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._room.close()
        self._threads.shutdown(cancel_futures=True)
        self._drop()
        for coming in self._coming.values():
            with suppress(BaseException):
                _remove(coming.result(0))
        scratch.remove_empty(self._folder)
        with suppress(OSError):
            self._folder.parent.rmdir()

    def get(self, name: str) -> Path | None:
        """Return the path of a clip, which stays until another one is asked for.

        Returns:
            None if there is no such object.

        Raises:
            StoreError: It cannot be fetched.
            OSError: The disk has no room for it.
        """
        if self._here is not None and self._here[0] == name:
            return self._here[1]
        self._drop()
        self._fetch_up_to(name)
        coming = self._coming.pop(name, None)
        path = self._fetch(name) if coming is None else coming.result()
        self._here = name, path
        return path

    def _fetch_up_to(self, name: str) -> None:
        """Start to fetch a clip and those after it, and forget those before it."""
        turn = self._turn.get(name)
        if turn is None:
            return
        self._room.skip_to(turn)
        for passed in [each for each in self._coming if self._turn[each] < turn]:
            self._forget(self._coming.pop(passed))
        self._next = max(self._next, turn)
        while self._next < min(turn + self._window, len(self._names)):
            each = self._names[self._next]
            self._coming[each] = self._threads.submit(self._fetch_in_turn, each, self._next)
            self._next += 1

    def _forget(self, coming: Future[Path | None]) -> None:
        if not coming.cancel():
            with suppress(BaseException):
                if (path := coming.result()) is not None:
                    self._room.leave(path.stat().st_size)
                    _remove(path)

    def _fetch_in_turn(self, name: str, turn: int) -> Path | None:
        try:
            found = self._look(name)
        except BaseException:
            self._room.enter(turn, 0)
            raise
        self._room.enter(turn, found.size if found else 0)
        return self._write(found) if found else None

    def _fetch(self, name: str) -> Path | None:
        """Fetch a clip that nobody has asked for ahead."""
        found = self._look(name)
        if found is None:
            return None
        self._room.take(found.size)
        return self._write(found)

    def _write(self, found: Object) -> Path:
        path = self._folder / found.url.replace("://", "/", 1)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fetch_whole(found, path)
            os.utime(path, ns=(found.mtime_ns, found.mtime_ns))
        except BaseException:
            self._room.leave(found.size)
            _remove(path)
            raise
        return path

    def _drop(self) -> None:
        """Remove the clip that was used last."""
        if self._here is not None and (path := self._here[1]) is not None:
            with suppress(OSError):
                self._room.leave(path.stat().st_size)
            _remove(path)
        self._here = None


class _Room:
    """Bytes that clips may take on the disk; they come in in their order.

    Args:
        most: Number of bytes; a clip that is larger waits until it is alone.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._turn = 0
        self._closed = False
        self._changed = threading.Condition()

    def enter(self, turn: int, size: int) -> None:
        """Wait until it is a clip's turn and there is room for it.

        Raises:
            InterruptedError: The room is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._may_enter(turn, size))
            if self._closed:
                raise InterruptedError
            self._used += size
            self._turn = max(self._turn, turn + 1)
            self._changed.notify_all()

    def take(self, size: int) -> None:
        """Take room at once, for a clip that is needed now."""
        with self._changed:
            self._used += size

    def leave(self, size: int) -> None:
        """Give room back."""
        with self._changed:
            self._used -= size
            self._changed.notify_all()

    def skip_to(self, turn: int) -> None:
        """Wait no longer for clips before a turn."""
        with self._changed:
            self._turn = max(self._turn, turn)
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _may_enter(self, turn: int, size: int) -> bool:
        fits = self._used + size <= self._most or self._used == 0
        return turn < self._turn or (turn == self._turn and fits)


def _remove(path: Path | None) -> None:
    if path is not None:
        with suppress(OSError):
            path.unlink(missing_ok=True)
