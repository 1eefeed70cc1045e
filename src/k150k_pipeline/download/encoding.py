"""Compressed bodies, which some servers send although the request forbids them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from k150k_pipeline.download.failures import DownloadError, TransientError

_PIECE_BYTES = 1 << 18
_GZIP, _ZLIB, _BARE = 31, 15, -15
_DEFLATE_METHOD = 8


class Unpacker:
    """Undoes a Content-Encoding piece by piece, in bounded memory.

    aiohttp could do this too, but accepts a compressed body that lacks its end.

    Args:
        encoding: Content-Encoding of an answer; empty if it has none.

    Raises:
        DownloadError: Reason ``encoded``: it is neither gzip nor deflate.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower().removeprefix("x-")
        if self._encoding not in ("", "identity", "gzip", "deflate"):
            raise DownloadError("encoded", f"Content-Encoding {encoding}")
        self._plain = self._encoding in ("", "identity")
        self._inflater: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the unpacked contents of a piece of the body.

        Raises:
            TransientError: Reason ``incomplete``: the body is not in the stated encoding.
        """
        if self._plain:
            yield data
            return
        while data:
            if self._inflater is None or self._inflater.eof:
                self._inflater = zlib.decompressobj(self._window(data[0]))
            try:
                yield self._inflater.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise TransientError("incomplete", f"{self._encoding} body: {error}") from error
            data = self._inflater.unconsumed_tail or self._inflater.unused_data

    def finish(self) -> bytes:
        """Return the last unpacked bytes.

        Raises:
            TransientError: Reason ``incomplete``: the body lacks its end.
        """
        if self._inflater is None:
            return b""
        rest = self._inflater.flush()
        if not self._inflater.eof:
            raise TransientError("incomplete", f"the {self._encoding} body lacks its end")
        return rest

    def _window(self, first: int) -> int:
        if self._encoding == "gzip":
            return _GZIP
        # Some servers send deflate without the zlib header that RFC 9110, 8.4.1.2 requires.
        return _ZLIB if first & 0x0F == _DEFLATE_METHOD else _BARE
