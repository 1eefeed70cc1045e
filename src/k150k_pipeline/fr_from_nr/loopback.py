"""Strategy ``loopback``: one ffmpeg decodes once, encodes at every CRF and scores every encode.

Loopback decoders (``-dec``, ffmpeg 7.1 and later) decode an encoder's packets inside the process,
so that neither raw video nor an encode is written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from k150k_pipeline.errors import ClipError
from k150k_pipeline.fr_from_nr.source import Source
from k150k_pipeline.fr_from_nr.sweep import (
    ScoredEncode,
    SweepIdentity,
    SweepSettings,
    check_counts,
    check_values,
    kept,
    try_out,
)
from k150k_pipeline.media.encode import (
    EncodeEvidence,
    encoder_failed,
    packet_size_options,
    read_encodes,
)
from k150k_pipeline.media.ffmpeg import (
    check_complete,
    decode_arguments,
    explain,
    ffmpeg_version,
    find_ffmpeg,
    read_evidence,
)
from k150k_pipeline.media.raw import descriptor_path
from k150k_pipeline.media.tools import ToolResult, run_tool, tool_errors
from k150k_pipeline.vmaf.embedded import EmbeddedEngine
from k150k_pipeline.vmaf.filter import libvmaf_failed
from k150k_pipeline.vmaf.log import FrameValues
from k150k_pipeline.vmaf.pairs import pair_graph, read_pair_log

_BARE = (
    "sidedata=mode=delete",
    "setsar=0",
    "setparams=field_mode=prog:chroma_location=unspecified",
)


class Loopback:
    """The whole sweep of a clip in one process.

    ``encode_seconds`` of every encode is the wall-clock time of that process, which decodes,
    encodes and scores at all CRFs at once. It includes scoring, so ``score_seconds`` is 0.
    """

    def __init__(self, settings: SweepSettings) -> None:
        self._settings = settings
        self._ffmpeg = find_ffmpeg(settings.vmaf.ffmpeg)

    def identify(self) -> SweepIdentity:
        """Run a tiny sweep; see :class:`SweepStrategy`."""
        engine = EmbeddedEngine(self._settings.vmaf).identify()
        result = try_out(
            self._trial(),
            self._ffmpeg,
            f"cannot encode with {self._settings.encode.encoder} and decode that in one process",
            "Unset vmaf.ffmpeg to use the ffmpeg of the imageio-ffmpeg wheel, or set "
            "strategy=stepwise, which needs no -dec",
        )
        version = self._settings.encode.find_version(result)
        return SweepIdentity(engine, ffmpeg_version(self._ffmpeg), version)

    def sweep(self, source: Source) -> list[ScoredEncode]:
        """Sweep a source in one process; see :class:`SweepStrategy`."""
        crfs, path = self._settings.crf_sweep, source.clip.path
        with ExitStack() as stack:
            logs = [stack.enter_context(memory_file()) for _ in crfs]
            packets = [stack.enter_context(memory_file()) for _ in crfs]
            paths = [self._settings.encode_path(source, crf) for crf in crfs]
            parts = [stack.enter_context(kept(encode_path)) for encode_path in paths]
            yuv = stack.enter_context(kept(self._settings.yuv_path(source)))
            command = self.command(source, logs, packets, parts, yuv)
            started = time.perf_counter()
            with tool_errors("score", path, self._ffmpeg):
                limit = self._settings.vmaf.clip_timeout_s
                result = run_tool(command, timeout_s=limit, pass_fds=[*logs, *packets])
            seconds = time.perf_counter() - started
            evidence, values = self._read(source, result, logs, packets)
        return [
            ScoredEncode(*encode, encode_seconds=seconds, score_seconds=0.0)
            for encode in zip(crfs, evidence, values, paths, strict=True)
        ]

    def command(
        self,
        source: Source,
        logs: Sequence[int],
        packets: Sequence[int],
        parts: Sequence[Path | None],
        yuv: Path | None,
    ) -> list[str]:
        """Return the command that sweeps a source.

        Args:
            source: The source.
            logs: Descriptors of libvmaf's logs, one per CRF; none if nothing is scored.
            packets: Descriptors of the packet sizes of each encode.
            parts: Files of the encodes; None for those that are not kept.
            yuv: File of the decoded reference; None if it is not kept.
        """
        threads = self._settings.vmaf.threads
        return [
            *decode_arguments(self._ffmpeg, source.clip, threads), "-v", "level+debug",
            "-filter_complex", self._reference_graph(source, len(logs), yuv),
            *[
                argument
                for number, (packet, part) in enumerate(zip(packets, parts, strict=True))
                for argument in self._encode(number, source.pix_fmt, packet, part)
            ],
            *[
                argument
                for number, log in enumerate(logs)
                for argument in self._score(number, descriptor_path(log))
            ],
            *(_raw_output(source.pix_fmt, yuv) if yuv else []),
        ]  # fmt: skip

    @property
    def _crfs(self) -> tuple[int, ...]:
        return self._settings.crf_sweep

    def _reference_graph(self, source: Source, scores: int, yuv: Path | None) -> str:
        """Return the filter graph that gives every encode and every score its reference."""
        rate = source.rate
        restamp = (
            f"settb={rate.denominator}/{rate.numerator}",
            "setpts=N",
            f"fps={rate.numerator}/{rate.denominator}",
        )
        links = [f"[e{n}]" for n in range(len(self._crfs))]
        links += [f"[r{n}]" for n in range(scores)]
        links += ["[yuv]"] if yuv else []
        filters = [*source.picture_filters, *restamp, *_BARE, source.tag_filter]
        head = f"[0:{source.clip.stream_index}]{','.join(filters)}"
        return f"{head},split={len(links)}{''.join(links)}"

    def _encode(self, number: int, pix_fmt: str, packets: int, part: Path | None) -> list[str]:
        target = ["-f", "null", "-"]
        if part is not None:
            target = ["-f", self._settings.encode.muxer, "-y", f"file:{part}"]
        return [
            "-map", f"[e{number}]", *self._settings.encode.arguments(self._crfs[number]),
            "-pix_fmt", pix_fmt, *packet_size_options(descriptor_path(packets)), *target,
        ]  # fmt: skip

    def _score(self, number: int, log_path: str) -> list[str]:
        vmaf = self._settings.vmaf
        graph = pair_graph(f"[dec:{number}]", f"[r{number}]", vmaf, log_path)
        return [
            "-threads", str(vmaf.threads), "-err_detect", "explode", "-dec", f"{number}:0",
            "-filter_complex", f"{graph}[s{number}]",
            "-map", f"[s{number}]", "-fps_mode", "passthrough", "-f", "null", "-",
        ]  # fmt: skip

    def _read(
        self, source: Source, result: ToolResult, logs: Sequence[int], packets: Sequence[int]
    ) -> tuple[list[EncodeEvidence], list[FrameValues]]:
        if libvmaf_failed(result):
            raise ClipError("score", "libvmaf", f"{source.clip.path}: {explain(result)}")
        frames, encodes = self.read_encodes(source, result, packets)
        values = [read_pair_log(read_all(log), frames) for log in logs]
        for scored in values:
            check_values(source, scored)
        return encodes, values

    def read_encodes(
        self, source: Source, result: ToolResult, packets: Sequence[int]
    ) -> tuple[int, list[EncodeEvidence]]:
        """Read what a finished ffmpeg reports: the number of decoded frames, and its encodes.

        Raises:
            ClipError: Stage ``decode`` or ``encode``: the clip or an encode is not whole.
        """
        if encoder_failed(result):
            raise ClipError("encode", "failed", f"{source.clip.path}: {explain(result)}")
        decoded = read_evidence(source.clip, result)
        check_complete(source.clip, decoded)
        encodes = read_encodes(result, self._crfs, [read_all(packet) for packet in packets])
        for encode in encodes:
            check_counts(source, decoded.frames, encode)
        return decoded.frames, encodes

    def _trial(self) -> list[str]:
        """Return the command that sweeps two synthetic frames and prints the first encode."""
        encode = self._settings.encode
        return [
            self._ffmpeg, "-nostdin", "-hide_banner", "-v", "level+verbose",
            "-f", "lavfi", "-i", "testsrc2=size=256x256:rate=25:duration=0.08",
            "-filter_complex", "[0:0]format=yuv420p,split[e][r0]",
            "-map", "[e]", *encode.arguments(self._crfs[0]), "-f", encode.muxer, "-",
            *self._score(0, os.devnull),
        ]  # fmt: skip


def _raw_output(pix_fmt: str, path: Path) -> list[str]:
    return [
        "-map", "[yuv]", "-fps_mode", "passthrough", "-pix_fmt", pix_fmt,
        "-f", "rawvideo", "-y", f"file:{path}",
    ]  # fmt: skip


@contextmanager
def memory_file() -> Iterator[int]:
    """Yield the descriptor of a file in memory that is gone afterwards."""
    descriptor = os.memfd_create("sweep")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_all(descriptor: int) -> bytes:
    """Return the content of such a file."""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
