"""The upload that becomes a reference: its facts, and the filters for its pictures.

Every encode and every score takes bare pictures: even sides, one frame rate, no side data, and
only the colour tags transfer, primaries and matrix. So the bitstream is the same whether the
pictures come from a decoder or from raw video.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media import pyav as av
from k150k_pipeline.media.ffmpeg import conversion_filters, scored_pixel_format
from k150k_pipeline.media.hashing import hash_file
from k150k_pipeline.media.probe import ClipInfo, open_clip, probe

_UNSPECIFIED = 2
_HDR_TRANSFERS = ("SMPTE2084", "ARIB_STD_B67")


@dataclass(frozen=True)
class Source:
    """Facts of one upload.

    Attributes:
        clip: Facts of the clip.
        rate: Frames per second on average; encodes have this constant rate.
        transfer: Transfer characteristics, as a number of ITU-T H.273.
        primaries: Colour primaries, as a number of ITU-T H.273.
        matrix: Matrix coefficients, as a number of ITU-T H.273.
        sha256: SHA-256 of the file.
    """

    clip: ClipInfo
    rate: Fraction
    transfer: int
    primaries: int
    matrix: int
    sha256: str

    @property
    def width(self) -> int:
        """Width of the reference: that of the clip, without the last column if it is odd."""
        return self.clip.width // 2 * 2

    @property
    def height(self) -> int:
        """Height of the reference: that of the clip, without the last row if it is odd."""
        return self.clip.height // 2 * 2

    @property
    def pix_fmt(self) -> str:
        """Pixel format of the reference and of every encode."""
        return scored_pixel_format(self.clip)

    @property
    def hdr_transfer(self) -> str:
        """Transfer characteristics in ffmpeg's names; empty if they are not those of HDR."""
        transfers = av.video.reformatter.ColorTrc
        hdr = {int(transfers[name]): name for name in _HDR_TRANSFERS}
        return _ffmpeg_name(hdr.get(self.transfer, ""))

    @property
    def hdr_primaries(self) -> str:
        """Primaries of an HDR clip in ffmpeg's names; empty for other clips and if unknown."""
        if not self.hdr_transfer or self.primaries == _UNSPECIFIED:
            return ""
        known = {
            int(primaries): primaries.name for primaries in av.video.reformatter.ColorPrimaries
        }
        return _ffmpeg_name(known.get(self.primaries, str(self.primaries)))

    @property
    def picture_filters(self) -> list[str]:
        """Filters that convert a decoded picture to the reference's format and size."""
        odd = (self.clip.width, self.clip.height) != (self.width, self.height)
        crop = [f"crop={self.width}:{self.height}:0:0:exact=1"] if odd else []
        return [*conversion_filters(self.clip), *crop]

    @property
    def tag_filter(self) -> str:
        """Filter that gives bare pictures the colour tags of the encodes.

        All are tagged as limited range, so that samples of full range are not converted either.
        """
        return (
            f"setparams=range=tv:color_trc={self.transfer}:color_primaries={self.primaries}"
            f":colorspace={self.matrix}"
        )


def probe_source(path: Path) -> Source:
    """Open a clip, decode its first frame and hash the file.

    Raises:
        ClipError: As :func:`~k150k_pipeline.media.probe.probe` raises it; also stage ``probe``,
            reasons ``no_frame_rate`` and ``too_small``.
    """
    clip = probe(path)
    if min(clip.width, clip.height) < 2:
        raise ClipError("probe", "too_small", f"{path}: {clip.width}x{clip.height}")
    try:
        with open_clip(path) as container:
            stream = container.streams[clip.stream_index]
            rate = stream.average_rate or stream.base_rate
            context = stream.codec_context
            transfer, primaries = int(context.color_trc), int(context.color_primaries)
            matrix = int(context.colorspace)
        digest = hash_file(path)
    except (av.error.FFmpegError, OSError) as error:
        raise ClipError("probe", "unreadable", f"{path}: {error}") from error
    if not rate:
        raise ClipError("probe", "no_frame_rate", f"{path} does not tell its frame rate")
    # RGB is converted to 4:2:0, so its matrix (0) does not apply any more.
    tags = transfer, primaries, matrix or _UNSPECIFIED
    return Source(clip, Fraction(rate), *tags, digest)


def _ffmpeg_name(name: str) -> str:
    return name.lower().replace("_", "-")
