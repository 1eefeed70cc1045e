"""Scoring of a distorted raw video against its reference, with any of the three backends."""

from __future__ import annotations

import os
from typing import Protocol

from k150k_pipeline.errors import ClipError, EngineError
from k150k_pipeline.media.ffmpeg import explain, ffmpeg_version, find_ffmpeg
from k150k_pipeline.media.raw import RawVideo, ToolRunner, descriptor_path
from k150k_pipeline.media.tools import ToolError, run_tool
from k150k_pipeline.schemas.fr import SCORED
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf.binary import VmafBinary
from k150k_pipeline.vmaf.embedded import EmbeddedEngine
from k150k_pipeline.vmaf.engine import EngineIdentity
from k150k_pipeline.vmaf.filter import RESTAMP, libvmaf_filter
from k150k_pipeline.vmaf.fork import cuda_name
from k150k_pipeline.vmaf.log import FrameValues, parse_log, select_features
from k150k_pipeline.vmaf.model import is_model_file, model_label

_EXTRACTORS = ("adm", "vif", "motion")


class PairScorer(Protocol):
    """Scores pairs of raw videos in the features of :data:`SCORED`."""

    def identify(self) -> EngineIdentity:
        """Try the engine out and return its identity.

        Raises:
            EngineError: It is missing, or lacks something that is needed.
        """

    def score(self, reference: RawVideo, distorted: RawVideo) -> FrameValues:
        """Return one value per frame and feature.

        Raises:
            ClipError: Stage ``score``: not every frame has every feature.
        """


def make_pair_scorer(parameters: VmafParameters, run: ToolRunner = run_tool) -> PairScorer:
    """Return the scorer that ``vmaf.backend`` names."""
    if parameters.uses_a_binary:
        return BinaryPairs(parameters, run)
    return EmbeddedPairs(parameters, run)


class EmbeddedPairs:
    """libvmaf as a filter of ffmpeg, on two raw inputs."""

    def __init__(self, parameters: VmafParameters, run: ToolRunner = run_tool) -> None:
        self._parameters = parameters
        self._ffmpeg = find_ffmpeg(parameters.ffmpeg)
        self._run = run

    def identify(self) -> EngineIdentity:
        """Score a tiny synthetic clip; see :class:`PairScorer`."""
        return EmbeddedEngine(self._parameters).identify()

    def score(self, reference: RawVideo, distorted: RawVideo) -> FrameValues:
        """Score a pair; see :class:`PairScorer`."""
        with os.fdopen(os.memfd_create("vmaf-log"), "rb") as log:
            command = self._command(reference, distorted, descriptor_path(log.fileno()))
            descriptors = (reference.descriptor, distorted.descriptor, log.fileno())
            try:
                limit = self._parameters.clip_timeout_s
                result = self._run(command, timeout_s=limit, pass_fds=descriptors)
            except ToolError as error:
                raise ClipError("score", error.reason, str(error)) from error
            except OSError as error:
                raise EngineError(
                    f"{self._ffmpeg} cannot be run: {error}. Unset vmaf.ffmpeg, or name another"
                ) from error
            text = log.read()
        if result.returncode:
            raise ClipError("score", "libvmaf", explain(result))
        return read_pair_log(text, reference.frames)

    def _command(self, reference: RawVideo, distorted: RawVideo, log_path: str) -> list[str]:
        graph = pair_graph("[0:0]", "[1:0]", self._parameters, log_path)
        return [
            self._ffmpeg, "-nostdin", "-hide_banner", "-nostats", "-v", "level+verbose",
            *raw_input(distorted, "25"), *raw_input(reference, "25"),
            "-filter_complex", graph, "-fps_mode", "passthrough", "-f", "null", "-",
        ]  # fmt: skip


class BinaryPairs:
    """The fork's ``vmaf``: its CPU binary, or its CUDA binary, which has all these features."""

    def __init__(self, parameters: VmafParameters, run: ToolRunner = run_tool) -> None:
        self._parameters = parameters
        self._ffmpeg = find_ffmpeg(parameters.ffmpeg)
        if parameters.backend == "cuda":
            self._extractors = [cuda_name(name) for name in _EXTRACTORS]
            self._binary = VmafBinary(parameters.cuda_binary, "cuda", parameters, run)
        else:
            self._extractors = list(_EXTRACTORS)
            self._binary = VmafBinary(parameters.cpu_binary, "cpu", parameters, run)

    def identify(self) -> EngineIdentity:
        """Try the extractors out; see :class:`PairScorer`."""
        version = self._binary.require(self._extractors, SCORED, model=True)
        return EngineIdentity(
            backend=self._parameters.backend,
            engine="vmaf-fork",
            version=f"{version} ({self._binary.digest()})",
            libvmaf=version,
            decoder=f"ffmpeg {ffmpeg_version(self._ffmpeg)}",
            model=model_label(self._parameters.model),
        )

    def score(self, reference: RawVideo, distorted: RawVideo) -> FrameValues:
        """Score a pair; see :class:`PairScorer`."""
        _, frames = self._binary.score(reference, self._extractors, True, distorted)
        return select_features(frames, SCORED)


def pair_graph(distorted: str, reference: str, parameters: VmafParameters, log_path: str) -> str:
    """Return a filter graph that scores one link against another and writes a JSON log.

    With the built-in model libvmaf returns all features that the model uses. A model file may use
    the same features with other options, so the plain ones are extracted too.
    """
    restamp = ",".join(RESTAMP)
    extractors = _EXTRACTORS if is_model_file(parameters.model) else ()
    scoring = libvmaf_filter(
        model=parameters.model, extractors=extractors, threads=parameters.threads, log_path=log_path
    )
    return f"{distorted}{restamp}[d];{reference}{restamp}[r];[d][r]{scoring}"


def raw_input(video: RawVideo, rate: str) -> list[str]:
    """Return the input options with which ffmpeg reads a raw video."""
    return [
        "-f", "rawvideo", "-video_size", f"{video.width}x{video.height}",
        "-pixel_format", video.pix_fmt, "-framerate", rate, "-i", video.path,
    ]  # fmt: skip


def read_pair_log(log: bytes, frames: int) -> FrameValues:
    """Read a log that must have ``frames`` frames.

    Raises:
        ClipError: Stage ``score``: it has not, or a feature is not on every frame.
    """
    _, scored = parse_log(log)
    if len(scored) != frames:
        raise ClipError(
            "score", "frame_count", f"{frames} frames decoded, {len(scored)} of them scored"
        )
    return select_features(scored, SCORED)
