"""Whether a Matroska or WebM file is whole, from the sizes of its elements (RFC 9559)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from k150k_pipeline.media.wholeness import WHOLE, Wholeness, lacking, limited, read_at, unread

_EBML = 0x1A45DFA3
_SEGMENT = 0x18538067
_CLUSTER = 0x1F43B675
_CUES = 0x1C53BB6B
_VOID, _CRC = 0xEC, 0xBF
_IN_SEGMENT = {
    0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1254C367, 0x1941A469, 0x1043A770, _CLUSTER, _CUES
}  # fmt: skip
_IN_CLUSTER = {0xE7, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, 0x5854}
_KNOWN = _IN_SEGMENT | _IN_CLUSTER | {_VOID, _CRC}
_MOST_HEADER_BYTES = 1024
_NO_SIZE = Wholeness(doubt="its Segment has no size, and no Cues follow the last Cluster")


@dataclass(frozen=True, slots=True)
class _Element:
    """One element: its ID, where its content begins, and where it ends; None if it has no size."""

    kind: int
    start: int
    end: int | None


def examine(file: BinaryIO, size: int) -> Wholeness:
    """Return whether a Matroska file is whole.

    Args:
        file: The file; it begins with an EBML header.
        size: Its bytes.

    Raises:
        OSError: The file cannot be read.
        TooManyPartsError: It has too many elements.
    """
    header = _read(file, 0)
    if header is None or header.end is None or header.end > _MOST_HEADER_BYTES:
        return Wholeness(doubt="its EBML header cannot be read")
    segment = _find_segment(file, size, header.end)
    if segment is None:
        cut_off = size <= header.end + 12
        problem = "it has no Segment"
        return Wholeness(missing=problem) if cut_off else Wholeness(doubt=problem)
    if segment.end is None:
        return _walk(file, size, segment.start)
    if segment.end > size:
        return lacking(segment.end, size)
    return _check_parts(file, segment.start, segment.end)


def _check_parts(file: BinaryIO, position: int, end: int) -> Wholeness:
    """Examine the elements of a segment and of its Clusters.

    ffmpeg skips an element that it does not know, so a damaged ID costs a Cluster or a Block.
    """
    for element in limited(_elements(file, position, into=_CLUSTER)):
        if element.kind not in _KNOWN:
            return unread(f"the element with content from byte {element.start} is of no known kind")
        position = element.start if element.kind == _CLUSTER else element.end or element.start
        if position >= end:
            return WHOLE
    return unread(f"its elements end at byte {position} instead of {end}")


def _find_segment(file: BinaryIO, size: int, position: int) -> _Element | None:
    for element in limited(_elements(file, position)):
        if element.kind == _SEGMENT:
            return element
        if element.kind not in (_VOID, _CRC) or element.end is None or element.end > size:
            return None
    return None


def _walk(file: BinaryIO, size: int, position: int) -> Wholeness:
    """Examine a segment without a size, as streams have: Cues are written after all Clusters."""
    cues_at_end = False
    for element in limited(_elements(file, position)):
        if element.end is not None and element.end > size:
            return lacking(element.end, size) if element.kind in _KNOWN else _NO_SIZE
        if element.kind in (_CLUSTER, _CUES):
            cues_at_end = element.kind == _CUES
    return WHOLE if cues_at_end else _NO_SIZE


def _elements(file: BinaryIO, position: int, into: int | None = None) -> Iterator[_Element]:
    """Yield the elements of a segment; those without a size and of kind ``into`` are entered."""
    while (element := _read(file, position)) is not None:
        yield element
        enter = element.end is None or element.kind == into
        position = element.start if enter or element.end is None else element.end


def _read(file: BinaryIO, position: int) -> _Element | None:
    """Return the element at a position; None if there is none."""
    header = read_at(file, position, 12)
    id_length = _length(header[:1])
    size_length = _length(header[id_length : id_length + 1])
    start = id_length + size_length
    if not 0 < id_length <= 4 or not size_length or len(header) < start:
        return None
    value_bits = (1 << 7 * size_length) - 1
    length = int.from_bytes(header[id_length:start], "big") & value_bits
    kind = int.from_bytes(header[:id_length], "big")
    # Writers that crash, and those of some streams, leave a size of 0.
    unsized = length == value_bits or (length == 0 and kind in (_SEGMENT, _CLUSTER))
    return _Element(kind, position + start, None if unsized else position + start + length)


def _length(first: bytes) -> int:
    """Return the length of a number in bytes, from its first byte; 0 if it is not a number."""
    return 9 - first[0].bit_length() if first and first[0] else 0
