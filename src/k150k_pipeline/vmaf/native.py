"""Backend ``native``: PyAV decodes, and the C library of ``core/`` scores the planes in place.

A clip is scored natively only if nothing about it is unusual. The embedded engine scores all other
clips, and the full plan. So each refusal is that of the embedded engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media import pyav as av
from k150k_pipeline.media.ffmpeg import DecodeEvidence, check_complete
from k150k_pipeline.media.probe import ClipInfo, open_clip
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf.core import VERSION, FrameScorer, Plane, frame_scorer, load_library
from k150k_pipeline.vmaf.embedded import EmbeddedEngine
from k150k_pipeline.vmaf.engine import ClipScore, EngineIdentity
from k150k_pipeline.vmaf.log import FrameValues
from k150k_pipeline.vmaf.plans import IDENTITY, Plan, complete, unmeasurable_features

CODECS = ("h264",)
"""Codecs that are scored natively. Of damaged HEVC, VP8 and VP9 streams, PyAV's version of
libavcodec and ffmpeg's may decode different pictures without a remark of either."""

_MOST_SIDES = 6092
"""Width and height together of the largest pictures that libvmaf's cambi accepts."""

_DEPTHS = {
    **dict.fromkeys(("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"), 8),
    **dict.fromkeys(("yuv420p10le", "yuv422p10le", "yuv444p10le"), 10),
}
"""Bits of the pixel formats whose luma plane is scored as it is decoded."""


class UnusualError(Exception):
    """Something about a clip is unusual: the embedded engine has to judge it."""


class NativeEngine:
    """The C library on frames that PyAV decodes, and the embedded engine for the rest."""

    tools: ClassVar[int] = 2
    """The decoding in this process and the embedded engine's tool have ``vmaf.clip_timeout_s``."""

    def __init__(self, parameters: VmafParameters) -> None:
        load_library()  # a process without it is refused, not served by the embedded engine
        self._embedded = EmbeddedEngine(parameters)
        self._model = parameters.model

    def identify(self) -> EngineIdentity:
        """Try out the embedded engine; see :class:`Engine`."""
        embedded = self._embedded.identify()
        return EngineIdentity(
            backend="native",
            engine=f"k150k-core {VERSION}, else {embedded.engine}",
            version=embedded.version,
            libvmaf=embedded.libvmaf,
            decoder=f"PyAV {metadata.version('av')}, else {embedded.decoder}",
            model=embedded.model,
        )

    def score(self, clip: ClipInfo, plan: Plan, first: int | None = None) -> ClipScore:
        """Score a clip natively if it can be; see :class:`Engine`."""
        plan.require_model(self._model)
        if plan == IDENTITY and _is_usual(clip):
            try:
                return _score(clip, first)
            except (
                *(UnusualError, ClipError, av.error.FFmpegError),
                *(OSError, ValueError, MemoryError),
            ):
                pass
        return self._embedded.score(clip, plan, first)


def _is_usual(clip: ClipInfo) -> bool:
    return (
        clip.codec in CODECS
        and clip.pix_fmt in _DEPTHS
        and clip.width + clip.height <= _MOST_SIDES
        and "cambi" not in unmeasurable_features(clip)
    )


def _score(clip: ClipInfo, first: int | None) -> ClipScore:
    with frame_scorer(clip.width, clip.height, _DEPTHS[clip.pix_fmt]) as scorer:
        if scorer is None:
            raise UnusualError
        cambi, motion = _score_frames(clip, scorer, first)
    decoded = check_complete(clip, DecodeEvidence(frames=len(cambi), errors=0), first)
    return ClipScore(
        clip, decoded, complete(clip, _features(cambi, motion), decoded), whole=decoded != first
    )


def _score_frames(
    clip: ClipInfo, scorer: FrameScorer, first: int | None
) -> tuple[list[float], list[float]]:
    cambi, motion, before = [], [0.0], None
    for frame in usual_frames(clip, first):
        plane = frame.planes[0]
        luma = Plane(plane.buffer_ptr, plane.line_size)
        cambi.append(scorer.cambi(luma))
        if before is not None:
            motion.append(scorer.motion(before[1], luma))
        before = frame, luma  # the frame owns the memory of its plane
    return cambi, motion


def usual_frames(clip: ClipInfo, first: int | None = None) -> Iterator[av.VideoFrame]:
    """Decode the frames of a clip, or its first ones, as long as nothing about them is unusual.

    Raises:
        UnusualError: libavformat or libavcodec has a remark, or a frame is not like the clip.
        av.error.FFmpegError: The clip cannot be decoded.
    """
    number = 0
    with _remarks() as remarks, open_clip(clip.path, strict=True) as container:
        stream = container.streams[clip.stream_index]
        stream.thread_type = "NONE"
        stream.codec_context.options = {"err_detect": "explode"}
        for packet in container.demux(stream):
            frames = packet.decode()
            if packet.is_corrupt or remarks:
                raise UnusualError
            for frame in frames:
                shape = (frame.width, frame.height, frame.format.name)
                if frame.is_corrupt or shape != (clip.width, clip.height, clip.pix_fmt):
                    raise UnusualError
                yield frame
                number += 1
                if number == first:
                    return


@contextmanager
def _remarks() -> Iterator[list[object]]:
    """Collect the warnings and errors of libavformat and libavcodec in this thread."""
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as remarks:
            yield remarks
    finally:
        av.logging.set_level(None)


def _features(cambi: list[float], motion: list[float]) -> FrameValues:
    """Derive the features of a clip."""
    sad = np.array(motion)
    motion2 = derive_motion2(sad)
    motion3 = motion2.copy()
    motion3[0] = sad[1] if len(sad) > 1 else 0.0
    return {"cambi": np.array(cambi), "motion": sad, "motion2": motion2, "motion3": motion3}


def derive_motion2(motion: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return motion2 of a clip, shape (frames,), for its motion, shape (frames,)."""
    motion2 = np.minimum(motion, np.append(motion[1:], motion[-1:]))
    motion2[0] = 0.0
    return motion2
