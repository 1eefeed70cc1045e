"""Native scoring of encodes: PyAV decodes them in step with their clip, the C library scores.

What belongs to the reference is computed once per frame for all encodes: motion, and the
reference's part of vif and adm. The values are rounded as libvmaf's log rounds them, so that they
are those of the embedded engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from k150k_pipeline.media import pyav as av
from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.schemas.fr import SCORED
from k150k_pipeline.vmaf.core import FrameScorer, PairScorer, Plane, frame_scorer, pair_scorer
from k150k_pipeline.vmaf.log import FrameValues
from k150k_pipeline.vmaf.native import CODECS, UnusualError, derive_motion2, usual_frames
from k150k_pipeline.vmaf.pair_model import load_pair_model

_PRINTED = ".6f"
_PIX_FMT = "yuv420p"
_OF_A_PAIR = ("vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "adm2")


@dataclass
class _Scores:
    """The scores of a clip and its encodes, frame by frame."""

    motion: list[float] = field(default_factory=lambda: [0.0])
    pairs: list[list[list[float]]] = field(default_factory=list)


def is_usual_reference(clip: ClipInfo) -> bool:
    """Return whether encodes of a clip can be scored natively, if nothing unusual turns up."""
    return clip.codec in CODECS and clip.pix_fmt == _PIX_FMT


def score_encodes(clip: ClipInfo, encodes: Sequence[bytes]) -> list[FrameValues]:
    """Score H.264 encodes of a clip of 8 bits in 4:2:0 against it.

    Args:
        clip: The clip; its decoded frames are the references as they are.
        encodes: Elementary streams.

    Returns:
        The features of :data:`~k150k_pipeline.schemas.fr.SCORED` of each encode, shape (frames,)
        each.

    Raises:
        UnusualError: Something about the clip or an encode is unusual, or their numbers of frames
            differ.
        av.error.FFmpegError: One of them cannot be decoded.
        EngineError: There is no library.
    """
    with ExitStack() as stack:
        frames = stack.enter_context(frame_scorer(clip.width, clip.height, depth=8))
        pairs = stack.enter_context(pair_scorer(clip.width, clip.height))
        if frames is None or pairs is None:
            raise UnusualError
        scores = _score_frames(clip, encodes, frames, pairs)
    if not np.isfinite(scores.pairs).all():
        raise UnusualError
    motion2 = derive_motion2(np.array(scores.motion))
    return [_features(motion2, np.array(own)) for own in zip(*scores.pairs, strict=True)]


def _score_frames(
    clip: ClipInfo, encodes: Sequence[bytes], frames: FrameScorer, pairs: PairScorer
) -> _Scores:
    scores, before = _Scores(), None
    streams = [_decode(clip, encode) for encode in encodes]
    try:
        for frame, *distorted in zip(usual_frames(clip), *streams, strict=True):
            luma = _luma(frame)
            if before is not None:
                scores.motion.append(frames.motion(before[1], luma))
            before = frame, luma  # the frame owns the memory of its plane
            pairs.set_reference(luma)
            scores.pairs.append([pairs.score(_luma(one)) for one in distorted])
    except ValueError as error:  # the streams differ in length
        raise UnusualError from error
    return scores


def _decode(clip: ClipInfo, encode: bytes) -> Iterator[av.VideoFrame]:
    """Decode an elementary stream; no container is probed for what the encoder was told."""
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_type = "NONE"
    decoder.options = {"err_detect": "explode"}
    for packet in [*decoder.parse(encode), *decoder.parse(b""), None]:
        for frame in decoder.decode(packet):
            shape = (frame.width, frame.height, frame.format.name)
            if frame.is_corrupt or shape != (clip.width, clip.height, clip.pix_fmt):
                raise UnusualError
            yield frame


def _luma(frame: av.VideoFrame) -> Plane:
    plane = frame.planes[0]
    return Plane(plane.buffer_ptr, plane.line_size)


def _features(motion2: npt.NDArray[np.float64], pairs: npt.NDArray[np.float64]) -> FrameValues:
    """Return the features of one encode from its scores, shape (frames, 5)."""
    values = {name: pairs[:, number] for number, name in enumerate(_OF_A_PAIR)}
    values["motion2"] = motion2
    values["vmaf"] = load_pair_model().predict(values)
    return {name: _printed(values[name]) for name in SCORED}


def _printed(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Round values as libvmaf's log does."""
    return np.array([float(format(value, _PRINTED)) for value in values])
