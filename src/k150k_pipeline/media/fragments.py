"""What a fragmented MP4 states of all its fragments (ISO/IEC 14496-12, sections 8.8 and 8.16)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from k150k_pipeline.media.wholeness import WHOLE, Wholeness

_UNKNOWN = Wholeness(doubt="its fragments are not counted anywhere (no mfra, sidx or mehd)")
_SLACK_S = Fraction(1, 4)
_EMPTY = 0x10000  # duration-is-empty
_PER_SAMPLE = (0x100, 0x200, 0x400, 0x800)


@dataclass(frozen=True, slots=True)
class Span:
    """The part of a file that a segment index covers: its end, and its number of parts."""

    end: int
    parts: int


@dataclass(frozen=True, slots=True)
class _Track:
    timescale: int
    default_duration: int


def children(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of each box inside a box, up to the first broken one."""
    position = 0
    while position + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        if length < 8:
            return
        yield kind, content[position + 8 : position + length]
        position += length


def find(content: bytes, *path: bytes) -> bytes | None:
    """Return the content of the first box at a path; None if there is none."""
    for kind in path:
        found = next((inner for name, inner in children(content) if name == kind), None)
        if found is None:
            return None
        content = found
    return content


def is_fragmented(moov: bytes) -> bool:
    """Return whether an index announces fragments."""
    return find(moov, b"mvex") is not None


def is_readable(moof: bytes) -> bool:
    """Return whether the boxes of a fragment's head are whole, and each track part has samples.

    ffmpeg passes over a part that it cannot read, and over its samples, without a message.
    """
    parts = [inner for kind, inner in children(moof) if kind == b"traf"]
    return bool(parts) and all(map(_is_chain, [moof, *parts])) and all(map(_has_samples, parts))


def _is_chain(content: bytes) -> bool:
    """Return whether a box inside ends where the next one begins, and the last one at the end."""
    position = 0
    while position + 8 <= len(content):
        (length,) = struct.unpack_from(">I", content, position)
        if length < 8:
            return False
        position += length
    return position == len(content)


def _has_samples(traf: bytes) -> bool:
    flags = int.from_bytes((find(traf, b"tfhd") or b"")[1:4], "big")
    runs = [inner for kind, inner in children(traf) if kind == b"trun"]
    return bool(flags & _EMPTY) or (bool(runs) and all(map(_holds_its_samples, runs)))


def _holds_its_samples(trun: bytes) -> bool:
    if len(trun) < 8:
        return False
    flags, count = struct.unpack_from(">II", trun, 0)
    words = 2 + bool(flags & 0x1) + bool(flags & 0x4)
    per_sample = sum(bool(flags & bit) for bit in _PER_SAMPLE)
    return len(trun) >= 4 * (words + int(count) * per_sample)


def indexed_end(sidx: bytes, box_end: int) -> Span:
    """Return what a segment index covers; an empty span if the index is broken."""
    try:
        wide = sidx[0] > 0
        (offset,) = struct.unpack_from(">Q" if wide else ">I", sidx, 20 if wide else 16)
        table = 28 if wide else 20
        (parts,) = struct.unpack_from(">H", sidx, table + 2)
        sizes = struct.unpack_from(">" + "I8x" * parts, sidx, table + 4)
    except (struct.error, IndexError):
        return Span(0, 0)
    return Span(box_end + offset + sum(size & 0x7FFFFFFF for size in sizes), parts)


def compare_durations(moov: bytes, heads: Iterable[bytes]) -> Wholeness:
    """Compare the duration that an index states (mehd) with that of all fragments.

    Args:
        moov: The index.
        heads: Contents of the fragments' heads (moof).
    """
    try:
        stated = _stated_duration(moov)
        found, longest = _found_duration(moov, heads)
    except (struct.error, IndexError, KeyError, ZeroDivisionError):
        return _UNKNOWN
    if not stated:
        return _UNKNOWN
    if found + longest >= stated:
        return WHOLE
    difference = f"it states {float(stated):.3f} s and has {float(found):.3f} s"
    if found + _SLACK_S >= stated or _has_edits(moov):
        return Wholeness(doubt=difference)
    return Wholeness(missing=difference)


def _stated_duration(moov: bytes) -> Fraction:
    mvhd, mehd = find(moov, b"mvhd"), find(moov, b"mvex", b"mehd")
    if mvhd is None or mehd is None:
        return Fraction(0)
    (timescale,) = struct.unpack_from(">I", mvhd, 20 if mvhd[0] else 12)
    (duration,) = struct.unpack_from(">Q" if mehd[0] else ">I", mehd, 4)
    return Fraction(duration, timescale)


def _found_duration(moov: bytes, heads: Iterable[bytes]) -> tuple[Fraction, Fraction]:
    """Return the end of the last fragment and the length of the longest sample, in seconds."""
    tracks = _tracks(moov)
    found = longest = Fraction(0)
    for head in heads:
        for traf in (inner for kind, inner in children(head) if kind == b"traf"):
            end, sample, timescale = _fragment_end(traf, tracks)
            found = max(found, Fraction(end, timescale))
            longest = max(longest, Fraction(sample, timescale))
    return found, longest


def _tracks(moov: bytes) -> dict[int, _Track]:
    defaults = {}
    for kind, trex in children(find(moov, b"mvex") or b""):
        if kind == b"trex":
            track, duration = struct.unpack_from(">I4xI", trex, 4)
            defaults[track] = duration
    tracks = {}
    for trak in (inner for kind, inner in children(moov) if kind == b"trak"):
        tkhd, mdhd = find(trak, b"tkhd") or b"", find(trak, b"mdia", b"mdhd") or b""
        (number,) = struct.unpack_from(">I", tkhd, 20 if tkhd[0] else 12)
        (timescale,) = struct.unpack_from(">I", mdhd, 20 if mdhd[0] else 12)
        tracks[number] = _Track(timescale, defaults.get(number, 0))
    return tracks


def _fragment_end(traf: bytes, tracks: dict[int, _Track]) -> tuple[int, int, int]:
    """Return end, longest sample and timescale of one track's part of a fragment."""
    tfhd, tfdt = find(traf, b"tfhd") or b"", find(traf, b"tfdt") or b""
    flags, number = struct.unpack_from(">II", tfhd, 0)
    track, default = tracks[number], tracks[number].default_duration
    if flags & 0x8:
        at = 8 + 8 * bool(flags & 0x1) + 4 * bool(flags & 0x2)
        (default,) = struct.unpack_from(">I", tfhd, at)
    (end,) = struct.unpack_from(">Q" if tfdt[0] else ">I", tfdt, 4)
    longest = 0
    for trun in (inner for kind, inner in children(traf) if kind == b"trun"):
        total, most = _run_duration(trun, default)
        end, longest = end + total, max(longest, most)
    return end, longest, track.timescale


def _run_duration(trun: bytes, default: int) -> tuple[int, int]:
    """Return the total length of the samples of a run, and that of the longest."""
    flags, count = struct.unpack_from(">II", trun, 0)
    fields = sum(bool(flags & bit) for bit in _PER_SAMPLE)
    if not flags & 0x100:
        return default * count, default
    at = 8 + 4 * bool(flags & 0x1) + 4 * bool(flags & 0x4)
    durations = struct.unpack_from(f">{count * fields}I", trun, at)[::fields]
    return sum(durations), max(durations, default=0)


def _has_edits(moov: bytes) -> bool:
    """Return whether an edit list may make the presentation longer than its samples."""
    traks = (inner for kind, inner in children(moov) if kind == b"trak")
    return any(find(trak, b"edts", b"elst") is not None for trak in traks)
