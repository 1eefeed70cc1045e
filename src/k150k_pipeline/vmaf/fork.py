"""Backends ``cpu`` and ``cuda``: the VMAFx fork's ``vmaf`` command line on decoded YUV.

The binary reads one YUV as both reference and distorted, from a file that never has a name.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from k150k_pipeline.errors import ClipError, EngineError
from k150k_pipeline.media.ffmpeg import conversion_filters, ffmpeg_version, find_ffmpeg
from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.media.raw import RawDecoder, RawVideo, ToolRunner, frame_bytes
from k150k_pipeline.media.tools import ToolResult, ToolTimeoutError, run_tool
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf.engine import ClipScore, EngineIdentity
from k150k_pipeline.vmaf.log import Frames, merge_passes, parse_log, select_features
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
BUILD_CPU = (
    "meson setup core/build-cpu core -Denable_cuda=false -Denable_sycl=false "
    "--buildtype=release && ninja -C core/build-cpu"
)
BUILD_CUDA = (
    "meson setup core/build-cuda core -Denable_cuda=true -Denable_sycl=false "
    "--buildtype=release && ninja -C core/build-cuda"
)


class VmafBinary:
    """One ``vmaf`` executable: its argument list, its log, and what it lacks."""

    def __init__(
        self,
        path: Path,
        build: str,
        parameters: VmafParameters,
        device: Sequence[str] = (),
        run: ToolRunner = run_tool,
    ) -> None:
        self.path = path
        self._build = build
        self._parameters = parameters
        self._device = tuple(device)
        self._run = run

    def require(self, extractors: Sequence[str], keys: Sequence[str], model: bool) -> str:
        """Score two synthetic frames and check that everything needed comes back.

        Args:
            extractors: Extractor names to ask for, in the binary's own names.
            keys: Features, or keys of the log, that must be on both frames.
            model: Whether to run the VMAF model.

        Returns:
            Version of the binary.

        Raises:
            EngineError: It is missing, not executable, or lacks something; the message has
                the build commands.
        """
        try:
            version, frames = self._try_out(extractors, model)
        except ClipError as error:
            raise self._unusable(f"fails on two synthetic frames: {error.detail}") from error
        if missing := [key for key in keys if not _has(frames, key)]:
            raise self._unusable(f"does not return {', '.join(missing)}")
        return version

    def offers(self, extractor: str, feature: str) -> bool:
        """Tell whether the binary has an extractor.

        Raises:
            EngineError: It cannot be told: the binary crashed or hung.
        """
        try:
            return _has(self._try_out([extractor], model=False)[1], feature)
        except ClipError as error:
            if error.reason in ("vmaf_failed", "no_log"):
                return False
            raise self._unusable(f"cannot try out {extractor}: {error.detail}") from error

    def _try_out(self, extractors: Sequence[str], model: bool) -> tuple[str, Frames]:
        if not self.path.is_file():
            raise self._unusable("does not exist")
        if not os.access(self.path, os.X_OK):
            raise self._unusable("is not executable")
        with _synthetic_video() as video:
            return self.run(video, extractors, model, timeout_s=60)

    def run(
        self,
        video: RawVideo,
        extractors: Sequence[str],
        model: bool,
        timeout_s: float | None = None,
        distorted: RawVideo | None = None,
    ) -> tuple[str, Frames]:
        """Score a video against itself, or a distorted one against it.

        Returns:
            libvmaf's version and the metrics by frame number.

        Raises:
            ClipError: Stage ``score``: bad exit status, no log, or not every frame in it.
        """
        with os.fdopen(os.memfd_create("vmaf-log"), "rb") as log:
            log_path = f"/proc/self/fd/{log.fileno()}"
            other = distorted or video
            command = self.command(video, extractors, model, log_path, other)
            descriptors = (video.descriptor, other.descriptor, log.fileno())
            result = self._execute(command, descriptors, timeout_s)
            text = log.read()
        if result.returncode:
            reason = "vmaf_crashed" if result.returncode < 0 else "vmaf_failed"
            raise ClipError("score", reason, result.describe())
        if not text:
            raise ClipError("score", "no_log", f"no log written; {result.describe()}")
        version, frames = parse_log(text)
        if len(frames) != video.frames:
            raise ClipError(
                "score",
                "frame_count",
                f"{video.frames} frames decoded, {len(frames)} scored; {result.describe()}",
            )
        return version, frames

    def command(
        self,
        video: RawVideo,
        extractors: Sequence[str],
        model: bool,
        log_path: str,
        distorted: RawVideo,
    ) -> list[str]:
        """Return the command line for one pass."""
        scoring = ["--model", f"version={self._parameters.model}"] if model else ["--no_prediction"]
        return [
            str(self.path.absolute()),
            "-r", video.path, "-d", distorted.path,
            "-w", str(video.width), "-h", str(video.height),
            "-p", "420", "-b", str(video.bit_depth),
            "--threads", str(self._parameters.threads),
            *scoring,
            *[argument for name in extractors for argument in ("--feature", name)],
            *self._device,
            "--json", "-o", log_path, "-q",
        ]  # fmt: skip

    def _execute(
        self, command: list[str], descriptors: tuple[int, ...], timeout_s: float | None
    ) -> ToolResult:
        limit = timeout_s or self._parameters.clip_timeout_s
        try:
            return self._run(command, timeout_s=limit, pass_fds=descriptors)
        except ToolTimeoutError as error:
            raise ClipError("score", "timeout", str(error)) from error
        except OSError as error:
            raise self._unusable(f"cannot be run: {error}") from error

    def _unusable(self, why: str) -> EngineError:
        return EngineError(
            f"vmaf binary {self.path} {why}. Build the fork's:\n  {self._build}\n"
            "or score with the engine that needs no build: vmaf.backend=embedded"
        )


class _ForkEngine:
    """What both backends share: decode to an unnamed YUV, score it, complete the features."""

    backend = ""

    def __init__(self, parameters: VmafParameters) -> None:
        self._parameters = parameters
        self._ffmpeg = find_ffmpeg(parameters.ffmpeg)
        self._decoder = RawDecoder(
            self._ffmpeg,
            parameters.threads,
            parameters.clip_timeout_s,
            parameters.scratch_dir,
        )
        device = ["--no_cuda", "--no_sycl"] if parameters.no_cuda else []
        self._cpu = VmafBinary(parameters.cpu_binary, BUILD_CPU, parameters, device)

    def score(self, clip: ClipInfo, plan: Plan, first: int | None = None) -> ClipScore:
        """Decode a clip to memory and score it; see :class:`~k150k_pipeline.vmaf.engine.Engine`."""
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
            model=self._parameters.model,
        )


class CpuEngine(_ForkEngine):
    """The fork's CPU binary, one pass."""

    backend = "cpu"

    def identify(self) -> EngineIdentity:
        """Try every extractor out; see :class:`~k150k_pipeline.vmaf.engine.Engine`."""
        keys = [*FULL.measured, MOTION_V2_KEY]
        version = self._cpu.require(_with_motion_v2(FULL), keys, model=True)
        return self._identity(version, version)

    def _score(self, video: RawVideo, plan: Plan) -> Frames:
        return self._cpu.run(video, _with_motion_v2(plan), plan.with_model)[1]


class CudaEngine(_ForkEngine):
    """The fork's CUDA binary for what is safe on the GPU, its CPU binary for the rest."""

    backend = "cuda"

    def __init__(self, parameters: VmafParameters) -> None:
        super().__init__(parameters)
        # Without it the fork leaves the GPU alone, whatever extractors are named.
        device = ["--backend", "cuda"]
        self._gpu = VmafBinary(parameters.cuda_binary, BUILD_CUDA, parameters, device)

    def identify(self) -> EngineIdentity:
        """Try both binaries out; see :class:`~k150k_pipeline.vmaf.engine.Engine`."""
        on_cpu = self._cpu.require(
            [*_RESIDUAL, "ssimulacra2", "motion_v2"],
            [*_RESIDUAL, "ssimulacra2", MOTION_V2_KEY],
            model=False,
        )
        gpu, cpu = self._share_out(FULL)
        keys = [f for f in FULL.measured if f not in cpu]
        on_gpu = self._gpu.require(gpu, [*keys, MOTION_V2_KEY], model=True)
        version = f"cuda {on_gpu}, cpu {on_cpu} for {' '.join(cpu)}"
        return self._identity(version, on_gpu)

    @functools.cached_property
    def _on_cpu(self) -> tuple[str, ...]:
        """Extractors left to the CPU binary: ssimulacra2 too where the GPU has no twin of it."""
        twin = self._gpu.offers(_CUDA_NAMES["ssimulacra2"], "ssimulacra2")
        return _RESIDUAL if twin else (*_RESIDUAL, "ssimulacra2")

    def _share_out(self, plan: Plan) -> tuple[list[str], list[str]]:
        """Return the extractors of the GPU pass, by their CUDA names, and of the CPU pass."""
        wanted = _with_motion_v2(plan)
        gpu = [_CUDA_NAMES[name] for name in wanted if name not in self._on_cpu]
        return gpu, [name for name in wanted if name in self._on_cpu]

    def _score(self, video: RawVideo, plan: Plan) -> Frames:
        gpu, cpu = self._share_out(plan)
        frames = self._gpu.run(video, gpu, plan.with_model)[1]
        if not cpu:
            return frames
        return merge_passes(frames, self._cpu.run(video, cpu, model=False)[1])


def cuda_name(extractor: str) -> str:
    """Return the name of an extractor's CUDA twin."""
    return _CUDA_NAMES[extractor]


def _has(frames: Frames, key: str) -> bool:
    """Tell whether a feature, under any of its names, or a key is on every frame."""
    names = candidate_keys(key)
    return all(any(name in metrics for name in names) for metrics in frames.values())


def _with_motion_v2(plan: Plan) -> list[str]:
    """Return the plan's extractors, and ``motion_v2`` with the full plan, as older rows had it."""
    return [*plan.extractors, *(["motion_v2"] if plan.name == "full" else [])]


@contextmanager
def _synthetic_video() -> Iterator[RawVideo]:
    width = height = 256
    size = 2 * frame_bytes(width, height, 8)
    noise = np.random.default_rng(0).integers(16, 235, size, dtype=np.uint8)
    with tempfile.TemporaryFile() as file:
        file.write(noise.tobytes())
        file.flush()
        yield RawVideo(file.fileno(), width, height, 8, frames=2)
