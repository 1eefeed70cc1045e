"""Whether an AVI file is whole, from the sizes of its chunks, and the number of dropped frames.

AVI keeps a constant rate: a dropped frame has a chunk without content, and the header's frame
count includes it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from k150k_pipeline.media.wholeness import (
    WHOLE,
    TooManyPartsError,
    Wholeness,
    lacking,
    limited,
    read_at,
)

_LISTS = (b"RIFF", b"LIST")
_UNSIZED = (0, 0xFFFFFFFF)
_FILES = (b"AVI ", b"AVIX")
_ENTERED = (*_FILES, b"hdrl", b"strl", b"movi", b"rec ")
_SLACK_BYTES = 8  # some writers include the header of the file in its size
_KIND = re.compile(rb"[0-9A-Za-z ]{4}")
_KNOWN = re.compile(
    rb"AVI |AVIX|hdrl|strl|avih|str[hfdn]|indx|movi|rec |JUNK|idx1|ix\d\d|\d\d[a-z]{2}"
)
_MOST_INDEX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One chunk: its kind (of a list, the kind of the list), and where its content lies."""

    kind: bytes
    start: int
    end: int
    sized: bool


def examine(file: BinaryIO, size: int) -> Wholeness:
    """Return whether an AVI file is whole.

    Args:
        file: The file; it begins with a RIFF header of kind ``AVI``.
        size: Its bytes.

    Raises:
        OSError: The file cannot be read.
        TooManyPartsError: It has too many chunks.
    """
    whole = False
    for chunk in limited(_chunks(file, size)):
        slack = _SLACK_BYTES if chunk.kind in _FILES else 0
        if _KNOWN.fullmatch(chunk.kind) and chunk.end > size + slack:
            return lacking(chunk.end, size)
        if chunk.kind == b"indx" and (end := _indexed_end(file, chunk)) > size:
            return lacking(end, size)
        whole |= chunk.kind == b"idx1" or (chunk.kind in _FILES and chunk.sized)
    if whole:
        return WHOLE
    return Wholeness(doubt="its size is not stated, and no index (idx1) follows its media")


def dropped_frames(path: Path, stream_index: int) -> int:
    """Return the number of dropped frames of an AVI: chunks of a stream without content.

    Returns:
        The number; 0 for other containers, and if there are too many chunks to count.

    Raises:
        OSError: The file cannot be read.
    """
    prefix, size = b"%02d" % stream_index, path.stat().st_size
    with path.open("rb") as file:
        if read_at(file, 0, 12)[8:] != b"AVI ":
            return 0
        try:
            chunks = limited(_chunks(file, size, into_media=True))
            return sum(c.kind.startswith(prefix) and c.start == c.end for c in chunks)
        except TooManyPartsError:
            return 0


def _chunks(file: BinaryIO, size: int, *, into_media: bool = False) -> Iterator[_Chunk]:
    """Yield all chunks; ``into_media`` also those inside media whose size is known.

    After the stated end of the file only its continuations are read.
    """
    position = end = 0
    while (chunk := _read(file, position, size)) is not None:
        if chunk.kind in _FILES:
            end = chunk.end
        elif position >= end:
            return
        yield chunk
        enter = chunk.kind in _ENTERED and (into_media or chunk.kind != b"movi" or not chunk.sized)
        position = chunk.start if enter else chunk.end + (chunk.end - chunk.start) % 2


def _read(file: BinaryIO, position: int, size: int) -> _Chunk | None:
    """Return the chunk at a position; None at the end, or if there is no chunk."""
    header = read_at(file, position, 12)
    kind, start = header[:4], position + 8
    if len(header) < 8 or not _KIND.fullmatch(kind):
        return None
    length = int.from_bytes(header[4:8], "little")
    end, sized = start + length, True
    if kind in _LISTS:
        kind, start = header[8:], position + 12
        sized = length not in _UNSIZED
    return _Chunk(kind, start, end if sized else size, sized)


def _indexed_end(file: BinaryIO, chunk: _Chunk) -> int:
    """Return the end of the last part that an index of indexes names; 0 for another index."""
    length = min(chunk.end - chunk.start, _MOST_INDEX_BYTES)
    content = read_at(file, chunk.start, length)
    try:
        words, _, kind, entries = struct.unpack_from("<HBBI", content)
        if kind != 0 or words != 4:
            return 0
        table = struct.iter_unpack("<QI4x", content[24 : 24 + 16 * entries])
        return max((int(offset + length) for offset, length in table), default=0)
    except struct.error:
        return 0
