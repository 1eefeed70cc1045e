"""Whether an MP4 file is whole, from its boxes; nothing is decoded.

If the end of a file whose index comes first is cut off, the file is probed and decoded without an
error. The sizes of its boxes show the cut (ISO/IEC 14496-12, section 4.2). A fragmented file that
is cut between two fragments has only whole boxes. There, what it states of all its fragments
shows the cut (section 8.8).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from k150k_pipeline.media import fragments, sample_tables
from k150k_pipeline.media.wholeness import WHOLE, Wholeness, lacking, limited, read_at, unread

FIRST = frozenset(
    (b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"junk",
     b"udta", b"pict", b"prfl")
)  # fmt: skip
"""Kinds of box that a file may begin with."""

_INDEX = {b"moov", b"moof"}
_BESIDE_FRAGMENTS = FIRST | {b"moof", b"mfra", b"sidx", b"ssix", b"emsg", b"prft", b"meta", b"pdin"}
_HEADER_BYTES = 8
_MOST_INDEX_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class _Box:
    """One top-level box: its kind, where its content begins and where it ends."""

    kind: bytes
    start: int
    end: int
    open_ended: bool


def examine(file: BinaryIO, size: int) -> Wholeness:
    """Return whether an MP4 file is whole.

    Args:
        file: The file; it begins with a box of :data:`FIRST`.
        size: Its bytes.

    Raises:
        OSError: The file cannot be read.
        TooManyPartsError: It has too many boxes.
    """
    boxes = list(limited(_boxes(file, size)))
    if boxes and boxes[-1].end > size:
        return lacking(boxes[-1].end, size)
    kinds = [box.kind for box in boxes]
    if not _INDEX & set(kinds):
        return Wholeness(missing="it has no index (moov)")
    if b"mdat" not in kinds:
        return Wholeness(missing="it has an index and no media (mdat)")
    return _examine_index(file, size, boxes)


def _boxes(file: BinaryIO, size: int) -> Iterator[_Box]:
    """Yield the top-level boxes up to the first broken one."""
    position = 0
    while position + _HEADER_BYTES <= size:
        header = read_at(file, position, 16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        start, open_ended = position + _HEADER_BYTES, length == 0
        if length == 1:
            length, start = int.from_bytes(header[8:16], "big"), position + 16
        elif open_ended:
            length = size - position
        if length < _HEADER_BYTES or not kind.isascii():
            return
        yield _Box(kind, start, position + length, open_ended)
        position += length
        if position > size:
            return


def _examine_index(file: BinaryIO, size: int, boxes: Sequence[_Box]) -> Wholeness:
    moov = next((box for box in boxes if box.kind == b"moov"), None)
    if moov is None or moov.end - moov.start > _MOST_INDEX_BYTES:
        return Wholeness(doubt="its index (moov) is missing or too large to be read")
    index = read_at(file, moov.start, moov.end - moov.start)
    if fragments.is_fragmented(index):
        return _examine_fragments(file, size, boxes, index)
    if boxes[-1] is moov:
        return WHOLE
    end = sample_tables.media_end(index)
    return lacking(end, size) if end > size else WHOLE


def _examine_fragments(file: BinaryIO, size: int, boxes: Sequence[_Box], index: bytes) -> Wholeness:
    whole = _examine_ends(file, size, boxes, index)
    return _examine_heads(file, boxes) if whole == WHOLE else whole


def _examine_heads(file: BinaryIO, boxes: Sequence[_Box]) -> Wholeness:
    """Return whether every fragment can be read: ffmpeg skips boxes that it does not know."""
    last = _last_media(boxes)
    for box in boxes:
        if box.kind not in _BESIDE_FRAGMENTS and box.end < last:
            return unread(f"the box with content from byte {box.start} is of no known kind")
    for content, end in _contents(file, boxes, b"moof"):
        if not fragments.is_readable(content):
            return unread(f"the head of a fragment (moof) that ends at byte {end} is broken")
    return WHOLE


def _examine_ends(file: BinaryIO, size: int, boxes: Sequence[_Box], index: bytes) -> Wholeness:
    kinds = [box.kind for box in boxes]
    if b"mfra" in kinds:
        return WHOLE
    if b"moof" in kinds and kinds[::-1].index(b"moof") < kinds[::-1].index(b"mdat"):
        return Wholeness(missing="its last fragment has no media (mdat)")
    spans = [
        fragments.indexed_end(content, end) for content, end in _contents(file, boxes, b"sidx")
    ]
    end = max((span.end for span in spans), default=0)
    if end > size:
        return lacking(end, size)
    if any(span.parts > 1 for span in spans) and end >= _last_media(boxes):
        return WHOLE
    heads = (content for content, _ in _contents(file, boxes, b"moof"))
    return fragments.compare_durations(index, heads)


def _contents(file: BinaryIO, boxes: Sequence[_Box], kind: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield content and end of each box of a kind, one at a time."""
    for box in boxes:
        if box.kind == kind and box.end - box.start <= _MOST_INDEX_BYTES:
            yield read_at(file, box.start, box.end - box.start), box.end


def _last_media(boxes: Sequence[_Box]) -> int:
    return max(box.end for box in boxes if box.kind == b"mdat")
