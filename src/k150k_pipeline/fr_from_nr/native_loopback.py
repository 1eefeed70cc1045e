"""Strategy ``loopback`` with the engine ``native``: ffmpeg encodes, and this process scores.

One ffmpeg decodes once and encodes at every CRF into memory. Then PyAV decodes the clip and its
encodes in step, and the C library scores them. A clip that is unusual in any way is swept by
:class:`Loopback`, so each refusal is that of the embedded engine.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from k150k_pipeline.errors import ClipError
from k150k_pipeline.fr_from_nr.loopback import Loopback, memory_file
from k150k_pipeline.fr_from_nr.source import Source
from k150k_pipeline.fr_from_nr.sweep import (
    ScoredEncode,
    SweepIdentity,
    SweepSettings,
    check_values,
    kept,
)
from k150k_pipeline.media import pyav as av
from k150k_pipeline.media.encode import EncodeEvidence
from k150k_pipeline.media.ffmpeg import find_ffmpeg
from k150k_pipeline.media.raw import descriptor_path
from k150k_pipeline.media.tools import run_tool, tool_errors
from k150k_pipeline.vmaf.log import FrameValues
from k150k_pipeline.vmaf.model import is_model_file
from k150k_pipeline.vmaf.native import NativeEngine, UnusualError
from k150k_pipeline.vmaf.native_pairs import is_usual_reference, score_encodes

_ENCODER = "libx264"


def scores_natively(settings: SweepSettings) -> bool:
    """Return whether the C library scores the encodes of such a sweep."""
    vmaf = settings.vmaf
    if is_model_file(vmaf.model) or settings.encode.encoder != _ENCODER:
        return False
    return vmaf.backend == "native"


class NativeLoopback:
    """The sweep of a clip in one ffmpeg and this process.

    ``encode_seconds`` of every encode is the wall-clock time of the ffmpeg that decodes and encodes
    at all CRFs, and ``score_seconds`` that of scoring them all. For a clip that is unusual they are
    those of :class:`Loopback`.
    """

    def __init__(self, settings: SweepSettings) -> None:
        self._settings = settings
        self._ffmpeg = find_ffmpeg(settings.vmaf.ffmpeg)
        self._loopback = Loopback(settings)
        self._engine = NativeEngine(settings.vmaf)

    def identify(self) -> SweepIdentity:
        """Run a tiny sweep; see :class:`SweepStrategy`."""
        other = self._loopback.identify()
        return SweepIdentity(self._engine.identify(), other.ffmpeg_version, other.encoder_version)

    def sweep(self, source: Source) -> list[ScoredEncode]:
        """Sweep a source natively if it can be; see :class:`SweepStrategy`."""
        if is_usual_reference(source.clip) and not source.picture_filters:
            try:
                return self._sweep(source)
            except (
                *(UnusualError, ClipError, av.error.FFmpegError),
                *(OSError, ValueError, MemoryError),
            ):
                pass
        return self._loopback.sweep(source)

    def _sweep(self, source: Source) -> list[ScoredEncode]:
        crfs = self._settings.crf_sweep
        with ExitStack() as stack:
            paths = [self._settings.encode_path(source, crf) for crf in crfs]
            parts = [stack.enter_context(kept(path)) for path in paths]
            memory = [stack.enter_context(memory_file()) for _ in crfs]
            streams = [
                part or Path(descriptor_path(own)) for part, own in zip(parts, memory, strict=True)
            ]
            yuv = stack.enter_context(kept(self._settings.yuv_path(source)))
            started = time.perf_counter()
            frames, encodes = self._encode(source, streams, memory, yuv)
            encoded = time.perf_counter()
            values = self._score(source, frames, streams)
            seconds = encoded - started, time.perf_counter() - encoded
        return [
            ScoredEncode(*encode, *seconds)
            for encode in zip(crfs, encodes, values, paths, strict=True)
        ]

    def _encode(
        self, source: Source, streams: Sequence[Path], memory: Sequence[int], yuv: Path | None
    ) -> tuple[int, list[EncodeEvidence]]:
        """Encode a source at every CRF; return the number of its frames, and the encodes."""
        with ExitStack() as stack:
            packets = [stack.enter_context(memory_file()) for _ in streams]
            command = self._loopback.command(source, (), packets, streams, yuv)
            with tool_errors("encode", source.clip.path, self._ffmpeg):
                limit = self._settings.vmaf.clip_timeout_s
                result = run_tool(command, timeout_s=limit, pass_fds=[*packets, *memory])
            return self._loopback.read_encodes(source, result, packets)

    def _score(self, source: Source, frames: int, streams: Sequence[Path]) -> list[FrameValues]:
        values = score_encodes(source.clip, [stream.read_bytes() for stream in streams])
        for scored in values:
            check_values(source, scored)
            if len(scored["vmaf"]) != frames:
                raise UnusualError
        return values
