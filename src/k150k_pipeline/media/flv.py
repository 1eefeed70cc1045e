"""Whether an FLV file is whole, from its tags and its metadata."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from k150k_pipeline.media.wholeness import WHOLE, Wholeness, lacking, limited, read_at

_AUDIO, _VIDEO, _SCRIPT = 8, 9, 18
_STREAM = b"\0\0\0"
_TAG_HEADER_BYTES = 11
_MOST_METADATA_BYTES = 1 << 20
_SLACK_S = 0.25  # metadata that a tool copied are wrong by a frame or two


@dataclass(frozen=True, slots=True)
class _Tag:
    """One tag: its kind, where its content begins and ends, and its time in seconds."""

    kind: int
    start: int
    end: int
    time_s: float


def examine(file: BinaryIO, size: int) -> Wholeness:
    """Return whether an FLV file is whole.

    Args:
        file: The file; it begins with an FLV header.
        size: Its bytes.

    Raises:
        OSError: The file cannot be read.
        TooManyPartsError: It has too many tags.
    """
    metadata, last, reached_s = b"", None, 0.0
    for tag in limited(_tags(file)):
        if tag.end > size:
            return lacking(tag.end, size)
        if tag.kind == _SCRIPT and not metadata:
            metadata = read_at(file, tag.start, min(tag.end - tag.start, _MOST_METADATA_BYTES))
        last, reached_s = tag, max(reached_s, tag.time_s)
    stated_size, stated_s = _number(metadata, b"filesize"), _number(metadata, b"duration")
    if stated_size > size:
        difference = f"it states {stated_size:.0f} bytes and has {size}"
        cut_off = reached_s + _SLACK_S < stated_s
        return Wholeness(missing=difference) if cut_off else Wholeness(doubt=difference)
    if stated_size or (last is not None and _ends_sequence(file, last)):
        return WHOLE
    return Wholeness(doubt="it states no size, and its last tag does not end the sequence")


def _tags(file: BinaryIO) -> Iterator[_Tag]:
    """Yield the tags up to the first broken one."""
    position = int.from_bytes(read_at(file, 5, 4), "big") + 4
    while len(header := read_at(file, position, _TAG_HEADER_BYTES)) == _TAG_HEADER_BYTES:
        kind, length = header[0] & 0x1F, int.from_bytes(header[1:4], "big")
        if kind not in (_AUDIO, _VIDEO, _SCRIPT) or header[8:] != _STREAM:
            return
        milliseconds = int.from_bytes(header[7:8] + header[4:7], "big")
        start = position + _TAG_HEADER_BYTES
        yield _Tag(kind, start, start + length, milliseconds / 1000)
        position = start + length + 4


def _number(metadata: bytes, key: bytes) -> float:
    """Return a number of the metadata; 0 if it is not there."""
    _, found, rest = metadata.partition(struct.pack(">H", len(key)) + key + b"\0")
    return float(struct.unpack_from(">d", rest)[0]) if found and len(rest) >= 8 else 0.0


def _ends_sequence(file: BinaryIO, tag: _Tag) -> bool:
    """Return whether a tag marks the end of the pictures, as H.264 and later codecs do."""
    content = read_at(file, tag.start, 2)
    if tag.kind != _VIDEO or len(content) < 2:
        return False
    extended = content[0] & 0x80
    return content[0] & 0x0F == 2 if extended else content[0] & 0x0F == 7 and content[1] == 2
