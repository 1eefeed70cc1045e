"""Backends ``cpu`` and ``cuda``: the VMAFx fork's ``vmaf`` command line on decoded YUV."""

from __future__ import annotations

import functools
from typing import ClassVar

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media.ffmpeg import conversion_filters, ffmpeg_version, find_ffmpeg
from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.media.raw import RawDecoder, RawVideo
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf.binary import VmafBinary
from k150k_pipeline.vmaf.engine import ClipScore, EngineIdentity
from k150k_pipeline.vmaf.log import Frames, merge_passes, select_features
from k150k_pipeline.vmaf.model import model_label
from k150k_pipeline.vmaf.names import MOTION_V2_KEY, candidate_keys
from k150k_pipeline.vmaf.plans import (
    FULL,
    Plan,
    complete,
    undefined_features,
    unmeasurable_features,
)

_RESIDUAL = ("float_ssim", "cambi")
_CUDA_NAMES = {
    "adm": "adm_cuda",
    "vif": "vif_cuda",
    "motion": "motion_cuda",
    "motion_v2": "motion_v2_cuda",
    "psnr": "psnr_cuda",
    "ciede": "ciede_cuda",
    "float_ms_ssim": "float_ms_ssim_cuda",
    "psnr_hvs": "psnr_hvs_cuda",
    "ssimulacra2": "ssimulacra2_cuda",
}


class _ForkEngine:
    """Base of both backends: decode to an unnamed YUV, score it, complete the features."""

    backend = ""
    tools: ClassVar[int]

    def __init__(self, parameters: VmafParameters) -> None:
        self._parameters = parameters
        self._ffmpeg = find_ffmpeg(parameters.ffmpeg)
        self._decoder = RawDecoder(
            self._ffmpeg,
            parameters.threads,
            parameters.clip_timeout_s,
            parameters.scratch_dir,
        )
        self._cpu = VmafBinary(parameters.cpu_binary, "cpu", parameters)

    def score(self, clip: ClipInfo, plan: Plan, first: int | None = None) -> ClipScore:
        """Decode a clip to memory and score it; see :class:`~k150k_pipeline.vmaf.engine.Engine`."""
        plan.require_model(self._parameters.model)
        plan = plan.without((*unmeasurable_features(clip), *undefined_features(clip)))
        filters = conversion_filters(clip)
        with self._decoder.decoded(clip, clip.width, clip.height, filters, first) as video:
            try:
                frames = self._score(video, plan)
                measured = select_features(frames, plan.measured)
            except ClipError as error:
                detail = f"{clip.path}: {error.detail}"
                raise ClipError(error.stage, error.reason, detail) from error
        count = len(frames)
        return ClipScore(clip, count, complete(clip, measured, count), whole=count != first)

    def _score(self, video: RawVideo, plan: Plan) -> Frames:
        raise NotImplementedError

    def _identity(self, version: str, libvmaf: str) -> EngineIdentity:
        return EngineIdentity(
            backend=self.backend,
            engine="vmaf-fork",
            version=version,
            libvmaf=libvmaf,
            decoder=f"ffmpeg {ffmpeg_version(self._ffmpeg)}",
            model=model_label(self._parameters.model),
        )


class CpuEngine(_ForkEngine):
    """The fork's CPU binary, one pass."""

    tools = 2  # decode, score

    backend = "cpu"

    def identify(self) -> EngineIdentity:
        """Try every extractor out; see :class:`~k150k_pipeline.vmaf.engine.Engine`."""
        keys = [*FULL.measured, MOTION_V2_KEY]
        version = self._cpu.require(_with_motion_v2(FULL), keys, model=True)
        return self._identity(f"{version} ({self._cpu.digest()})", version)

    def _score(self, video: RawVideo, plan: Plan) -> Frames:
        return self._cpu.score(video, _with_motion_v2(plan), plan.with_model)[1]


class CudaEngine(_ForkEngine):
    """The fork's CUDA binary for the extractors that are right on the GPU, else its CPU binary."""

    tools = 3  # decode, GPU pass, CPU pass

    backend = "cuda"

    def __init__(self, parameters: VmafParameters) -> None:
        super().__init__(parameters)
        self._gpu = VmafBinary(parameters.cuda_binary, "cuda", parameters)

    def identify(self) -> EngineIdentity:
        """Try both binaries out; see :class:`~k150k_pipeline.vmaf.engine.Engine`."""
        on_cpu = self._cpu.require(
            [*_RESIDUAL, "ssimulacra2", "motion_v2"],
            [*_RESIDUAL, "ssimulacra2", MOTION_V2_KEY],
            model=False,
        )
        gpu, cpu = self._divide(FULL)
        keys = [f for f in FULL.measured if f not in cpu]
        on_gpu = self._gpu.require(gpu, [*keys, MOTION_V2_KEY], model=True)
        versions = (
            f"cuda {on_gpu} ({self._gpu.digest()})",
            f"cpu {on_cpu} ({self._cpu.digest()}) for {' '.join(cpu)}",
        )
        return self._identity(", ".join(versions), on_gpu)

    @functools.cached_property
    def _on_cpu(self) -> tuple[str, ...]:
        """Extractors of the CPU binary; ssimulacra2 is one if the CUDA binary lacks it."""
        on_gpu = self._gpu.offers(_CUDA_NAMES["ssimulacra2"], "ssimulacra2")
        return _RESIDUAL if on_gpu else (*_RESIDUAL, "ssimulacra2")

    @functools.cached_property
    def _motion(self) -> str:
        """The GPU's motion extractor; some builds return ``motion`` only in debug mode."""
        plain = _CUDA_NAMES["motion"]
        return plain if self._gpu.offers(plain, "motion") else f"{plain}=debug=true"

    def _divide(self, plan: Plan) -> tuple[list[str], list[str]]:
        """Return the extractors of the GPU pass, by their CUDA names, and of the CPU pass."""
        wanted = _with_motion_v2(plan)
        names = {**_CUDA_NAMES, "motion": self._motion}
        gpu = [names[name] for name in wanted if name not in self._on_cpu]
        return gpu, [name for name in wanted if name in self._on_cpu]

    def _score(self, video: RawVideo, plan: Plan) -> Frames:
        gpu, cpu = self._divide(plan)
        frames = with_lone_motion3(self._gpu.score(video, gpu, plan.with_model)[1])
        if not cpu:
            return frames
        return merge_passes(frames, self._cpu.score(video, cpu, model=False)[1])


def cuda_name(extractor: str) -> str:
    """Return the name of an extractor's CUDA version."""
    return _CUDA_NAMES[extractor]


def _with_motion_v2(plan: Plan) -> list[str]:
    """Return the plan's extractors; the full plan also runs ``motion_v2``, for older rows did."""
    return [*plan.extractors, *(["motion_v2"] if plan.name == "full" else [])]


def with_lone_motion3(frames: Frames) -> Frames:
    """Return the frames, with ``motion3`` added if a clip has one frame and the build omits it.

    The value is 0, as that of the CPU's extractor, and as ``motion`` and ``motion2``.
    """
    keys = candidate_keys("motion3")
    if len(frames) != 1 or any(key in frames[0] for key in keys):
        return frames
    return {0: {**frames[0], keys[0]: 0.0}}
