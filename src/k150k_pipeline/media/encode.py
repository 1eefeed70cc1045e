"""Encoders: their presets and CRF range, their arguments, and what they tell of an encode.

Whatever an encoder's output depends on is given on the command line, above all its threads, so
that one clip yields the same bitstream on every machine and by every way to it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from k150k_pipeline.errors import ClipError, InputError
from k150k_pipeline.media.process import ToolResult

_X26X_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)
_ENCODED = re.compile(
    r"Output stream #(\d+):\d+ \(video\): (\d+) frames encoded; \d+ packets muxed \((\d+) bytes\)"
)
_X264_FRAME = re.compile(
    r"\[libx264 @ (0x[0-9a-f]+)\] \[debug\] frame= *\d+ QP=([\d.]+) NAL=\d+ Slice:\w Poc:\d+ +"
    r"I:(\d+) +P:(\d+) +SKIP:(\d+) +size=(\d+) bytes"
)
_ENCODER_FAILED = re.compile(
    r"\[(?:enc:)?lib(?:x264|x265|svtav1|vpx-vp9) @ [^\]]+\] \[(?:error|fatal)\]"
    r"|Error while opening encoder"
)


@dataclass(frozen=True)
class Encoder:
    """What must be known of one of ffmpeg's encoders.

    Attributes:
        presets: Names of its presets, the fastest or the slowest first.
        crf: Lowest and highest CRF.
        muxer: Format of its elementary stream in ffmpeg's names, and ending of such a file.
        version: Finds the encoder's version in its bitstream or in what it prints.
        arguments: From preset and threads to arguments, without ``-c:v`` and ``-crf``.
    """

    presets: tuple[str, ...]
    crf: tuple[int, int]
    muxer: str
    version: re.Pattern[bytes]
    arguments: Callable[[str, int], list[str]]


ENCODERS: Mapping[str, Encoder] = {
    "libx264": Encoder(
        presets=_X26X_PRESETS,
        crf=(0, 51),
        muxer="h264",
        version=re.compile(rb"x264 - (core \d+(?: r\w+)?)"),
        arguments=lambda preset, threads: ["-preset", preset, "-threads:v", str(threads)],
    ),
    "libx265": Encoder(
        presets=_X26X_PRESETS,
        crf=(0, 51),
        muxer="hevc",
        version=re.compile(rb"x265 \((build \d+)\)"),
        arguments=lambda preset, threads: [
            "-preset", preset, "-x265-params", f"log-level=error:pools={threads}:frame-threads=1",
        ],
    ),
    "libsvtav1": Encoder(
        presets=tuple(map(str, range(14))),
        crf=(1, 63),
        muxer="obu",
        version=re.compile(rb"SVT-AV1 Encoder Lib (v[\w.+-]+)"),
        arguments=lambda preset, threads: ["-preset", preset, "-svtav1-params", f"lp={threads}"],
    ),
    "libvpx-vp9": Encoder(
        presets=tuple(map(str, range(9))),
        crf=(0, 63),
        muxer="ivf",
        version=re.compile(rb"\[libvpx-vp9 @ [^\]]+\] \[\w+\] (v\d[\w.+-]*)"),
        arguments=lambda preset, threads: [
            "-deadline", "good", "-cpu-used", preset, "-b:v", "0",
            "-row-mt", "0", "-threads:v", str(threads),
        ],
    ),
}  # fmt: skip
"""The encoders that are accepted, where the ffmpeg in use has them."""


def check_sweep(encoder: str, preset: str, crf_sweep: Sequence[int]) -> None:
    """Refuse what no encode could be made with.

    Raises:
        InputError: Unknown encoder or preset; no CRF, one twice, or one out of range.
    """
    if encoder not in ENCODERS:
        raise InputError(f"encoder {encoder!r} is unknown; there are {', '.join(ENCODERS)}")
    known = ENCODERS[encoder]
    if preset not in known.presets:
        raise InputError(f"{encoder} has no preset {preset!r}; it has {', '.join(known.presets)}")
    if not crf_sweep:
        raise InputError("crf_sweep is empty; name at least one CRF, such as 28")
    lowest, highest = known.crf
    if bad := [crf for crf in crf_sweep if not lowest <= crf <= highest]:
        raise InputError(f"crf_sweep: {bad}: {encoder} takes {lowest} to {highest}")
    if twice := sorted({crf for crf in crf_sweep if list(crf_sweep).count(crf) > 1}):
        raise InputError(f"crf_sweep: {twice} more than once; name each CRF once")


@dataclass(frozen=True)
class EncodeSettings:
    """How a sweep encodes; only the CRF varies.

    Attributes:
        encoder: Key of :data:`ENCODERS`.
        preset: One of its presets.
        threads: Threads of each encode. They are part of what determines the bitstream.
    """

    encoder: str
    preset: str
    threads: int

    @property
    def muxer(self) -> str:
        """Format of the elementary stream."""
        return ENCODERS[self.encoder].muxer

    @property
    def extra(self) -> list[str]:
        """Arguments beside encoder, preset and CRF."""
        arguments = ENCODERS[self.encoder].arguments(self.preset, self.threads)
        return arguments if "-preset" not in arguments else arguments[2:]

    def arguments(self, crf: int) -> list[str]:
        """Return the output options of one encode."""
        own = ENCODERS[self.encoder].arguments(self.preset, self.threads)
        return ["-c:v", self.encoder, *own, "-crf", str(crf), "-fps_mode", "passthrough"]

    def find_version(self, result: ToolResult) -> str:
        """Return the encoder's version from an encode to stdout; empty if it does not tell."""
        said = result.stdout + result.stderr.encode()
        match = ENCODERS[self.encoder].version.search(said)
        return match.group(1).decode() if match else ""


@dataclass(frozen=True)
class EncodeStatistics:
    """What an encoder itself tells of its frames; 0 where it does not.

    Attributes:
        qp_mean: Mean over frames of a frame's mean quantiser.
        qp_std: Its population standard deviation.
        bits_mean: Mean bits per frame.
        bits_std: Their population standard deviation.
        mv_mean: Mean bits per frame spent on motion vectors.
        mv_std: Their population standard deviation.
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
    """What ffmpeg says of one encode.

    Attributes:
        frames: Frames that the encoder took.
        size_bytes: Bytes of the elementary stream.
        statistics: The encoder's own statistics.
    """

    frames: int
    size_bytes: int
    statistics: EncodeStatistics


@dataclass
class _X264Log:
    """Lines of one x264 instance: QP, macroblocks by kind and bytes of every frame."""

    qps: list[float] = field(default_factory=list)
    intra: int = 0
    inter: int = 0
    skipped: int = 0
    sizes: list[int] = field(default_factory=list)

    def statistics(self) -> EncodeStatistics:
        blocks = max(self.intra + self.inter + self.skipped, 1)
        return EncodeStatistics(
            *_mean_and_std(self.qps),
            *_mean_and_std([8 * size for size in self.sizes]),
            intra_ratio=self.intra / blocks,
            skip_ratio=self.skipped / blocks,
        )


def read_encodes(result: ToolResult, crf_sweep: Sequence[int]) -> list[EncodeEvidence]:
    """Read what a finished ffmpeg encoded; its first outputs are the encodes of the sweep.

    Raises:
        ClipError: Stage ``encode``; reasons ``failed`` (an encode is not accounted for) and
            ``pixel_format`` (the encoder lacks the clip's, which was converted).
    """
    if "auto-selecting format" in result.stderr:
        raise ClipError("encode", "pixel_format", f"not the clip's bit depth: {result.describe()}")
    counts = {
        int(output): (int(frames), int(size))
        for output, frames, size in _ENCODED.findall(result.stderr)
    }
    if any(output not in counts for output in range(len(crf_sweep))):
        raise ClipError("encode", "failed", f"no account of an encode: {result.describe()}")
    encodes = [counts[output] for output in range(len(crf_sweep))]
    statistics = _match_x264_logs(result.stderr, [size for _, size in encodes], crf_sweep)
    return [
        EncodeEvidence(frames, size, told)
        for (frames, size), told in zip(encodes, statistics, strict=True)
    ]


def encoder_failed(result: ToolResult) -> bool:
    """Tell whether it was an encoder that made ffmpeg fail."""
    return bool(result.returncode and _ENCODER_FAILED.search(result.stderr))


def _match_x264_logs(
    stderr: str, sizes: Sequence[int], crf_sweep: Sequence[int]
) -> list[EncodeStatistics]:
    """Return the statistics of each encode; zeros for all when they cannot be told apart.

    x264's lines name an address and no output. Instance and output are matched by the bytes they
    wrote, and among those with the same bytes a higher CRF has the higher quantisers.
    """
    logs = _read_x264_logs(stderr)
    ranked = sorted(logs, key=lambda log: (sum(log.sizes), sum(log.qps)))
    outputs = sorted(range(len(sizes)), key=lambda output: (sizes[output], crf_sweep[output]))
    if [sum(log.sizes) for log in ranked] != [sizes[output] for output in outputs]:
        return [EncodeStatistics()] * len(sizes)
    matched = dict(zip(outputs, ranked, strict=True))
    return [matched[output].statistics() for output in range(len(sizes))]


def _read_x264_logs(stderr: str) -> list[_X264Log]:
    logs: dict[str, _X264Log] = {}
    for address, qp, intra, inter, skipped, size in _X264_FRAME.findall(stderr):
        log = logs.setdefault(address, _X264Log())
        log.qps.append(float(qp))
        log.sizes.append(int(size))
        log.intra += int(intra)
        log.inter += int(inter)
        log.skipped += int(skipped)
    return list(logs.values())


def _mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / len(values)
    return mean, math.sqrt(variance)
