"""Messages over a socket: a length, then so many bytes; a reader waits no longer than it may."""

from __future__ import annotations

import socket
import struct
import time

_LENGTH = struct.Struct("!Q")
_MOST_AT_ONCE = 1 << 20


class Channel:
    """One end of a connection between two processes.

    Args:
        end: A connected stream socket.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, message: bytes, deadline: float | None = None) -> None:
        """Send a message.

        Args:
            message: What to send.
            deadline: When to give up, by the monotonic clock; None for never.

        Raises:
            TimeoutError: The deadline has passed.
            OSError: The other end is gone.
        """
        self._wait_until(deadline)
        self._end.sendall(_LENGTH.pack(len(message)) + message)

    def receive(self, deadline: float | None = None) -> bytes:
        """Return the next message; raises as :meth:`send` does.

        Raises:
            EOFError: The other end is gone.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        return self._read(length, deadline)

    def close(self) -> None:
        """Tell the other end that no message follows."""
        self._end.close()

    def _read(self, length: int, deadline: float | None) -> bytes:
        pieces = bytearray()
        while len(pieces) < length:
            self._wait_until(deadline)
            piece = self._end.recv(min(length - len(pieces), _MOST_AT_ONCE))
            if not piece:
                raise EOFError
            pieces += piece
        return bytes(pieces)

    def _wait_until(self, deadline: float | None) -> None:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        self._end.settimeout(left)
