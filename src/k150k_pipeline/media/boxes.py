"""Whether an MP4 file is all there, told from its top-level boxes; nothing is decoded.

A file whose index comes first probes clean and decodes without complaint when its tail is cut
off; the sizes of its boxes tell (ISO/IEC 14496-12, section 4.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_FIRST = {b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}
_INDEX = {b"moov", b"moof"}
_HEADER_BYTES = 8


def missing_part(path: Path) -> str | None:
    """Say what an MP4 file lacks; None when it is all there or is no MP4.

    Raises:
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    kinds: set[bytes] = set()
    for kind, end in _boxes(path, size):
        if not kinds and kind not in _FIRST:
            return None
        if end > size:
            return f"{end - size} of {end} bytes are missing at its end"
        kinds.add(kind)
    if kinds and not kinds & _INDEX:
        return "it has no index (moov)"
    if kinds and b"mdat" not in kinds:
        return "it has an index and no media (mdat)"
    return f"it has {size} bytes" if 0 < size < _HEADER_BYTES else None


def _boxes(path: Path, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield kind and end of each top-level box; what follows the last sound one is passed over."""
    position = 0
    with path.open("rb") as file:
        while position + _HEADER_BYTES <= size:
            file.seek(position)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            elif length == 0:
                length = size - position
            if length < _HEADER_BYTES or not kind.isascii():
                return
            yield kind, position + length
            position += length
