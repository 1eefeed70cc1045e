"""Messages over a socket: a length, then so many bytes; a reader waits no longer than it may."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from k150k_pipeline.isolation.time_limit import TimeLimit

_Done = TypeVar("_Done")

_LENGTH = struct.Struct("!Q")
_MOST_AT_ONCE = 1 << 20


class Channel:
    """One end of a connection between two processes.

    Args:
        end: A connected stream socket.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, message: bytes, limit: TimeLimit | None = None) -> None:
        """Send a message.

        Args:
            message: What to send.
            limit: When to give up; None for never.

        Raises:
            TimeoutError: The limit was reached.
            OSError: The other end is gone.
        """
        left = memoryview(_LENGTH.pack(len(message)) + message)
        while left:
            left = left[self._within(limit, partial(self._end.send, left)) :]

    def receive(self, limit: TimeLimit | None = None) -> bytes:
        """Return the next message; raises as :meth:`send` does.

        Raises:
            EOFError: The other end is gone.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, limit))
        return self._read(length, limit)

    def close(self) -> None:
        """Tell the other end that no message follows."""
        self._end.close()

    def _read(self, length: int, limit: TimeLimit | None) -> bytes:
        pieces = bytearray()
        while len(pieces) < length:
            most = min(length - len(pieces), _MOST_AT_ONCE)
            piece = self._within(limit, partial(self._end.recv, most))
            if not piece:
                raise EOFError
            pieces += piece
        return bytes(pieces)

    def _within(self, limit: TimeLimit | None, action: Callable[[], _Done]) -> _Done:
        while (turn := limit.turn() if limit else None) != 0:
            self._end.settimeout(turn)
            with suppress(TimeoutError):
                return action()
        raise TimeoutError
