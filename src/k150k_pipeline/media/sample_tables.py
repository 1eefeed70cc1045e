"""Where the media of an MP4 end, from its sample tables (ISO/IEC 14496-12, section 8.7)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from k150k_pipeline.media.fragments import children, find


def media_end(moov: bytes) -> int:
    """Return the end of the last video sample in the file; 0 if the tables are broken."""
    traks = [inner for kind, inner in children(moov) if kind == b"trak"]
    return max((_track_end(trak) for trak in traks if _is_video(trak)), default=0)


def _is_video(trak: bytes) -> bool:
    return (find(trak, b"mdia", b"hdlr") or b"")[8:12] == b"vide"


def _track_end(trak: bytes) -> int:
    table = find(trak, b"mdia", b"minf", b"stbl") or b""
    try:
        offsets, per_chunk = _chunks(table)
        last = int(np.argmax(offsets))
        first = int(per_chunk[:last].sum())
        return int(offsets[last]) + _bytes_of(table, first, int(per_chunk[last]))
    except (IndexError, ValueError):
        return 0


def _chunks(table: bytes) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return offset and number of samples of each chunk."""
    wide = find(table, b"co64")
    stco = (find(table, b"stco") or b"") if wide is None else wide
    offsets = np.frombuffer(stco[8:], ">u4" if wide is None else ">u8").astype(np.uint64)
    runs = np.frombuffer((find(table, b"stsc") or b"")[8:], ">u4").reshape(-1, 3).astype(np.int64)
    lengths = np.diff(np.append(runs[:, 0] - 1, len(offsets)))
    if (lengths < 0).any():
        raise ValueError("chunks out of order")
    return offsets, np.repeat(runs[:, 1], lengths)


def _bytes_of(table: bytes, first: int, count: int) -> int:
    stsz = find(table, b"stsz") or b""
    same = int.from_bytes(stsz[4:8], "big")
    if same:
        return same * count
    sizes = np.frombuffer(stsz[12:], ">u4")[first : first + count]
    return int(sizes.sum(dtype=np.uint64))
