"""Records that have no room in memory, on the disk until they are read back by bucket."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

BUFFERED = 64 * 2**20
"""Bytes of all buckets together that wait in memory."""

_LEAST = 4096  # bytes that are written at a time


class Spill:
    """Bytes in buckets, in one temporary file without a name: a killed process leaves nothing.

    Args:
        buckets: Number of buckets.
        folder: A folder on a local disk that has the room; made if it does not exist.
    """

    def __init__(self, buckets: int, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._buffers = [bytearray() for _ in range(buckets)]
        self._extents: list[list[tuple[int, int]]] = [[] for _ in range(buckets)]
        self._room = max(BUFFERED // buckets, _LEAST)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        """Return the number of buckets."""
        return len(self._buffers)

    def add(self, bucket: int, record: bytes) -> None:
        """Append a record to a bucket.

        Raises:
            OSError: The disk is full.
        """
        buffer = self._buffers[bucket]
        buffer += record
        if len(buffer) >= self._room:
            self._extents[bucket].append((self._file.seek(0, 2), len(buffer)))
            self._file.write(buffer)
            self._file.flush()
            buffer.clear()

    def read(self, bucket: int) -> Iterator[bytes]:
        """Yield what was added to a bucket, some whole records at a time."""
        for start, length in self._extents[bucket]:
            self._file.seek(start)
            yield self._file.read(length)
        if self._buffers[bucket]:
            yield bytes(self._buffers[bucket])
