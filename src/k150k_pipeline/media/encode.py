"""Encoders: their arguments in ffmpeg, and their statistics of an encode.

Everything that determines an encoder's output is set on the command line, above all its threads.
So a clip gives the same bitstream on every machine and with every strategy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media.tools import ToolResult

_ENCODED = re.compile(
    r"Output stream #(\d+):\d+ \(video\): (\d+) frames encoded; \d+ packets muxed \((\d+) bytes\)"
)
# An unfinished line of another thread may precede an x264 line, so it is found anywhere in a line.
_X264_FRAME = re.compile(
    r"frame= *(\d+) QP=([\d.]+) NAL=\d+ Slice:\w Poc:-?\d+ +"
    r"I:(\d+) +P:(\d+) +SKIP:(\d+) +size=(\d+) bytes"
)
_FIRST_ERROR = re.compile(r"\[(?:enc:)?([\w-]+) @ [^\]]+\] \[(?:error|fatal)\]")


@dataclass(frozen=True)
class _EncoderCommand:
    """The arguments of an encoder in ffmpeg, and the pattern of its version.

    Attributes:
        muxer: Format of its elementary stream in ffmpeg's names, and ending of such a file.
        version: Pattern of the encoder's version in its bitstream or in what it prints.
        preset: Returns the arguments that set the preset.
        extra: Returns the arguments that set the number of threads, and all else that determines
            the bitstream.
    """

    muxer: str
    version: re.Pattern[bytes]
    preset: Callable[[str], list[str]]
    extra: Callable[[int], list[str]]


def _plain_preset(preset: str) -> list[str]:
    return ["-preset", preset]


_COMMANDS: Mapping[str, _EncoderCommand] = {
    "libx264": _EncoderCommand(
        muxer="h264",
        version=re.compile(rb"x264 - (core \d+(?: r\w+)?)"),
        preset=_plain_preset,
        extra=lambda threads: ["-threads:v", str(threads)],
    ),
    "libx265": _EncoderCommand(
        muxer="hevc",
        version=re.compile(rb"x265 \((build \d+)\)"),
        preset=_plain_preset,
        extra=lambda threads: [
            "-x265-params", f"log-level=error:pools={threads}:frame-threads=1"
        ],
    ),
    "libsvtav1": _EncoderCommand(
        muxer="obu",
        version=re.compile(rb"SVT-AV1 Encoder Lib (v[\w.+-]+)"),
        preset=_plain_preset,
        extra=lambda threads: ["-svtav1-params", f"lp={threads}"],
    ),
    "libvpx-vp9": _EncoderCommand(
        muxer="ivf",
        version=re.compile(rb"\[libvpx-vp9 @ [^\]]+\] \[\w+\] (v\d[\w.+-]*)"),
        preset=lambda preset: ["-cpu-used", preset],
        extra=lambda threads: [
            "-deadline", "good", "-b:v", "0", "-row-mt", "0", "-threads:v", str(threads)
        ],
    ),
}  # fmt: skip


@dataclass(frozen=True)
class EncodeSettings:
    """What all encodes of a sweep have in common; only the CRF varies.

    Attributes:
        encoder: One of :data:`~k150k_pipeline.schemas.encoders.ENCODER_LIMITS`.
        preset: One of its presets.
        threads: Threads of each encode; the bitstream depends on them.
    """

    encoder: str
    preset: str
    threads: int

    @property
    def muxer(self) -> str:
        """Format of the elementary stream, and ending of such a file."""
        return _COMMANDS[self.encoder].muxer

    @property
    def extra(self) -> list[str]:
        """Further arguments besides encoder, preset and CRF."""
        return _COMMANDS[self.encoder].extra(self.threads)

    def arguments(self, crf: int) -> list[str]:
        """Return the output options of one encode."""
        preset = _COMMANDS[self.encoder].preset(self.preset)
        return [
            "-c:v", self.encoder, *preset, *self.extra, "-crf", str(crf),
            "-fps_mode", "passthrough",
        ]  # fmt: skip

    def find_version(self, result: ToolResult) -> str:
        """Return the encoder's version from an encode to stdout; empty if it is not there."""
        output = result.stdout + result.stderr.encode()
        match = _COMMANDS[self.encoder].version.search(output)
        return match.group(1).decode() if match else ""


@dataclass(frozen=True)
class EncodeStatistics:
    """An encoder's own statistics of its frames; 0 where it prints none.

    Attributes:
        qp_mean: Mean over the frames of their mean quantisers.
        qp_std: Population standard deviation of their mean quantisers.
        bits_mean: Mean bits per frame.
        bits_std: Population standard deviation of the bits per frame.
        mv_mean: Mean bits per frame spent on motion vectors.
        mv_std: Population standard deviation of these bits.
        itex_mean: Mean texture bits of intra frames.
        ptex_mean: Mean texture bits of predicted frames.
        intra_ratio: Share of macroblocks coded intra.
        skip_ratio: Share of macroblocks skipped.
    """

    qp_mean: float = 0.0
    qp_std: float = 0.0
    bits_mean: float = 0.0
    bits_std: float = 0.0
    mv_mean: float = 0.0
    mv_std: float = 0.0
    itex_mean: float = 0.0
    ptex_mean: float = 0.0
    intra_ratio: float = 0.0
    skip_ratio: float = 0.0


@dataclass(frozen=True)
class EncodeEvidence:
    """What ffmpeg reports of one encode.

    Attributes:
        frames: Number of encoded frames.
        size_bytes: Bytes of the elementary stream.
        statistics: The encoder's own statistics.
    """

    frames: int
    size_bytes: int
    statistics: EncodeStatistics


@dataclass(frozen=True, order=True)
class _X264Frame:
    """x264's log of one frame: bytes, mean QP, and macroblocks by kind."""

    size: int
    qp: float
    intra: int
    inter: int
    skipped: int


def packet_size_options(path: str) -> list[str]:
    """Return output options that write the size of every packet of an encode to a file."""
    return ["-stats_enc_post:v", path, "-stats_enc_post_fmt:v", "{size}"]


def read_encodes(
    result: ToolResult, crf_sweep: Sequence[int], packet_sizes: Sequence[bytes] = ()
) -> list[EncodeEvidence]:
    """Read the encodes of a finished ffmpeg, which are its first outputs.

    Args:
        result: The finished ffmpeg.
        crf_sweep: CRF of each encode.
        packet_sizes: Packet sizes of each encode, as :func:`packet_size_options` has them
            written. With several encodes, x264's log can only be read with them.

    Raises:
        ClipError: Stage ``encode``; reasons ``failed`` (ffmpeg reports no counts of an encode),
            ``pixel_format`` (the encoder lacks the clip's format and ffmpeg converted it) and
            ``statistics`` (x264's log does not match the encodes).
    """
    if "auto-selecting format" in result.stderr:
        raise ClipError("encode", "pixel_format", f"not the clip's bit depth: {result.describe()}")
    counts = {
        int(output): (int(frames), int(size))
        for output, frames, size in _ENCODED.findall(result.stderr)
    }
    if any(output not in counts for output in range(len(crf_sweep))):
        raise ClipError("encode", "failed", f"no account of an encode: {result.describe()}")
    sizes = [[int(size) for size in text.split()] for text in packet_sizes]
    statistics = _x264_statistics(result.stderr, crf_sweep, sizes)
    return [EncodeEvidence(*counts[output], own) for output, own in enumerate(statistics)]


def encoder_failed(result: ToolResult) -> bool:
    """Return whether ffmpeg failed because an encoder did."""
    error = _FIRST_ERROR.search(result.stderr)
    return bool(result.returncode and error and error.group(1) in _COMMANDS)


def _x264_statistics(
    stderr: str, crf_sweep: Sequence[int], packet_sizes: Sequence[Sequence[int]]
) -> list[EncodeStatistics]:
    """Return x264's statistics of each encode; zeros for other encoders.

    The lines of x264's log do not name their encode. Frame by frame, lines and encodes are matched
    by the bytes of the frame. Of encodes with equal bytes, that with the higher CRF gets the line
    with the higher quantiser.
    """
    lines: dict[int, list[_X264Frame]] = {}
    for number, qp, intra, inter, skipped, size in _X264_FRAME.findall(stderr):
        frame = _X264Frame(int(size), float(qp), int(intra), int(inter), int(skipped))
        lines.setdefault(int(number), []).append(frame)
    if not lines:
        return [EncodeStatistics()] * len(crf_sweep)
    if not packet_sizes and len(crf_sweep) == 1:
        packet_sizes = [[frame.size for _, (frame, *_) in sorted(lines.items())]]
    if len({len(sizes) for sizes in packet_sizes}) != 1:
        raise ClipError("encode", "frame_count", "encodes of one clip differ in their frames")
    encodes: list[list[_X264Frame]] = [[] for _ in crf_sweep]
    for number, sizes in enumerate(zip(*packet_sizes, strict=True)):
        ranked = sorted(range(len(sizes)), key=lambda n: (sizes[n], crf_sweep[n]))
        logged = sorted(lines.get(number, []))
        if [frame.size for frame in logged] != [sizes[n] for n in ranked]:
            raise ClipError("encode", "statistics", f"x264's log of frame {number} is not whole")
        for encode, frame in zip(ranked, logged, strict=True):
            encodes[encode].append(frame)
    return [_summarise(frames) for frames in encodes]


def _summarise(frames: Sequence[_X264Frame]) -> EncodeStatistics:
    intra, inter, skipped = (
        sum(getattr(frame, kind) for frame in frames) for kind in ("intra", "inter", "skipped")
    )
    blocks = max(intra + inter + skipped, 1)
    return EncodeStatistics(
        *_mean_and_std([frame.qp for frame in frames]),
        *_mean_and_std([8 * frame.size for frame in frames]),
        intra_ratio=intra / blocks,
        skip_ratio=skipped / blocks,
    )


def _mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / len(values)
    return mean, math.sqrt(variance)
