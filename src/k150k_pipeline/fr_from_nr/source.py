"""The upload that becomes a reference: what must be known of it, and how its pictures come out.

Every encode and every score sees bare pictures: even sides, one frame rate, no side data, no
colour tags but those of transfer, primaries and matrix. So it makes no difference to the
bitstream whether they come from a decoder or from raw video.
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
        clip: What the container claims.
        rate: Frames per second on average; encodes run at this constant rate.
        transfer: Transfer characteristics as a number of ITU-T H.273.
        primaries: Colour primaries, likewise.
        matrix: Matrix coefficients, likewise.
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
        """Width of the reference: the clip's, less the last column of an odd one."""
        return self.clip.width // 2 * 2

    @property
    def height(self) -> int:
        """Height of the reference: the clip's, less the last row of an odd one."""
        return self.clip.height // 2 * 2

    @property
    def pix_fmt(self) -> str:
        """Pixel format of the reference and of every encode."""
        return scored_pixel_format(self.clip)

    @property
    def hdr_transfer(self) -> str:
        """Transfer characteristics in ffmpeg's names; empty where they are not those of HDR."""
        transfers = av.video.reformatter.ColorTrc
        hdr = {int(transfers[name]): name for name in _HDR_TRANSFERS}
        return _spell(hdr.get(self.transfer, ""))

    @property
    def hdr_primaries(self) -> str:
        """Primaries of an HDR clip in ffmpeg's names; empty for others and where not told."""
        if not self.hdr_transfer or self.primaries == _UNSPECIFIED:
            return ""
        known = {
            int(primaries): primaries.name for primaries in av.video.reformatter.ColorPrimaries
        }
        return _spell(known.get(self.primaries, str(self.primaries)))

    @property
    def picture_filters(self) -> list[str]:
        """Filters that bring a decoded picture to the reference's format and size."""
        odd = (self.clip.width, self.clip.height) != (self.width, self.height)
        crop = [f"crop={self.width}:{self.height}:0:0:exact=1"] if odd else []
        return [*conversion_filters(self.clip), *crop]

    @property
    def tag_filter(self) -> str:
        """Filter that gives bare pictures the colour tags that an encode shall carry.

        All are tagged limited range, so that samples of full range too come back as they went in.
        """
        return (
            f"setparams=range=tv:color_trc={self.transfer}:color_primaries={self.primaries}"
            f":colorspace={self.matrix}"
        )


def probe_source(path: Path) -> Source:
    """Open a clip, decode its first frame and hash the file.

    Raises:
        ClipError: Stage ``probe`` or ``decode``, as :func:`~k150k_pipeline.media.probe.probe`
            raises it; reason ``no_frame_rate``; reason ``too_small``.
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
    # RGB becomes 4:2:0 and is RGB no more.
    tags = transfer, primaries, matrix or _UNSPECIFIED
    return Source(clip, Fraction(rate), *tags, digest)


def _spell(name: str) -> str:
    return name.lower().replace("_", "-")
