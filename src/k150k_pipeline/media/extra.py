"""Facts of a clip for the table of extra columns: frame rate and dynamic range."""

from __future__ import annotations

from pathlib import Path

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media import pyav as av
from k150k_pipeline.media.probe import open_clip, probe

_HDR_LEAST_BITS = 10
# Numbers of ISO/IEC 23091-2, which ffmpeg uses too.
_HDR_TRANSFERS = {16, 18, 14, 15}  # PQ, HLG, BT.2020 with 10 and with 12 bits
_BT2020_PRIMARIES = 9


def read_extra(path: Path) -> dict[str, float | bool | None]:
    """Return the extra columns of a clip.

    Returns:
        ``fps``: lowest rate, in frames per second, at which all time stamps can be written, which
        ffprobe calls ``r_frame_rate``; None if unknown. ``is_hdr``: whether samples have at least
        10 bits and the transfer is PQ, HLG or that of BT.2020, or the primaries are of BT.2020.

    Raises:
        ClipError: As :func:`~k150k_pipeline.media.probe.probe` raises it.
    """
    clip = probe(path)
    try:
        with open_clip(path) as container:
            stream = container.streams[clip.stream_index]
            colours = stream.codec_context
            wide = (
                int(colours.color_trc or 0) in _HDR_TRANSFERS
                or int(colours.color_primaries or 0) == _BT2020_PRIMARIES
            )
            rate = float(stream.base_rate or 0)
    except (av.error.FFmpegError, OSError) as error:
        raise ClipError("probe", "unreadable", f"{path}: {error}") from error
    return {"fps": rate or None, "is_hdr": wide and clip.bit_depth >= _HDR_LEAST_BITS}
