"""The fork's ``vmaf`` command line: its version, its abilities, and one pass over raw video.

The binary reads one YUV, in a file without a name, as both reference and distorted.
"""

from __future__ import annotations

import functools
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Literal

import numpy as np

from k150k_pipeline.errors import ClipError, EngineError
from k150k_pipeline.isolation.deaths import CRASHED
from k150k_pipeline.media.raw import RawVideo, ToolRunner, frame_bytes
from k150k_pipeline.media.tools import ToolError, ToolResult, run_tool
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf.digest import file_digest
from k150k_pipeline.vmaf.gpu import gpu_slot
from k150k_pipeline.vmaf.log import Frames, merge_passes, parse_log
from k150k_pipeline.vmaf.model import is_model_file, model_option
from k150k_pipeline.vmaf.names import candidate_keys, similar_keys

Device = Literal["cpu", "cuda"]

_SOURCES = (
    "Get the sources of the VMAFx fork from https://github.com/lusoris/vmaf, or from its successor "
    "https://github.com/VMAFx/vmafx (libvmaf is in the folder libvmaf, later core), and build "
    "its vmaf as its README says"
)
ADVICE: dict[Device, str] = {
    "cpu": f"{_SOURCES}, then set vmaf.cpu_binary to it",
    "cuda": f"{_SOURCES}, with CUDA, then set vmaf.cuda_binary to it; vmaf.cpu_binary may name "
    "the same file",
}
_TRY_OUT_S = 60.0
_FORK_OPTIONS = frozenset({"backend", "no_sycl"})
"""Options of every build of the fork, and of no build of Netflix's ``vmaf``."""
_LIBVMAF_OPTIONS = frozenset({"reference", "distorted", "no_prediction"})
_GPU_SWITCHES = ("no_cuda", "no_sycl")
_NO_VECTOR_CODE = "63"
_WIDEST_WRONG = 272
"""Up to this width vector code may get ADM wrong by up to 0.015, such as at 129-144 and 257-272."""
_OPTION = re.compile(r"--([a-z_]+)")
_BACKEND_USED = re.compile(rb'"backend_used"\s*:\s*"([^"]*)"')
_LOADED = re.compile(r"(?:calling init|initialize program): (/.*vmaf[^/\n]*)$", re.MULTILINE)


class VmafBinary:
    """One ``vmaf`` executable on one device."""

    def __init__(
        self, path: Path, device: Device, parameters: VmafParameters, run: ToolRunner = run_tool
    ) -> None:
        self.path = path
        self._device = device
        self._parameters = parameters
        self._run = run

    def require(self, extractors: Sequence[str], keys: Sequence[str], model: bool) -> str:
        """Check that it is the fork's, and returns all that is needed on two synthetic frames.

        Args:
            extractors: Extractors to run, under the binary's names.
            keys: Features, or keys of the log, that must be on both frames.
            model: Whether to run the VMAF model.

        Returns:
            Version of the binary.

        Raises:
            EngineError: It is missing, not executable, not the fork's, or lacks something; the
                message says how to get a suitable one.
        """
        try:
            version, frames = self._try_out(extractors, model)
        except ClipError as error:
            raise self._unusable(f"fails on two synthetic frames: {error.detail}") from error
        if missing := [_describe_missing(frames, key) for key in keys if not _has(frames, key)]:
            raise self._unusable(f"does not return {', '.join(missing)}")
        return version

    def offers(self, extractor: str, feature: str) -> bool:
        """Return whether an extractor of the binary returns a feature.

        Raises:
            EngineError: The binary crashed or hung.
        """
        try:
            return _has(self._try_out([extractor], model=False)[1], feature)
        except ClipError as error:
            if error.reason in ("vmaf_failed", "no_log"):
                return False
            raise self._unusable(f"cannot try out {extractor}: {error.detail}") from error

    def digest(self) -> str:
        """Return digests of the file and of each libvmaf that it loads.

        The code that determines the numbers may be in a shared library, and the file may be a
        script that starts the binary. In both cases glibc's loader prints what is loaded.

        Raises:
            EngineError: A file cannot be read.
        """
        loader = ["env", "-u", "LD_DEBUG_OUTPUT", "LD_DEBUG=libs"]
        command = [*loader, self._program, "--version"]
        try:
            loaded = _LOADED.findall(_text(self._execute(command, (), _TRY_OUT_S)))
            files = {Path(path).resolve(): None for path in (self._program, *loaded)}
            return " ".join(["sha256", *[file_digest(file) for file in files]])
        except (ClipError, OSError) as error:
            raise self._unusable(f"cannot be read: {error}") from error

    def score(
        self,
        video: RawVideo,
        extractors: Sequence[str],
        model: bool,
        distorted: RawVideo | None = None,
        timeout_s: float | None = None,
    ) -> tuple[str, Frames]:
        """Score a video against itself, or a distorted one against it.

        The fork runs one extractor per feature, with the options of the model if there is one. So
        the model has a separate pass where extractors or the model have options.

        Returns:
            libvmaf's version and the metrics by frame number.

        Raises:
            ClipError: Stage ``score``: bad exit status, no log, or not every frame in it.
            EngineError: It cannot be run, or scores on another device.
        """
        two_passes = model and self._has_options(extractors)
        other = distorted or video
        version, frames = self._pass(video, other, extractors, model and not two_passes, timeout_s)
        if two_passes:
            scored = self._pass(video, other, (), True, timeout_s)[1]
            vmaf = {n: {k: v for k, v in m.items() if k == "vmaf"} for n, m in scored.items()}
            frames = merge_passes(frames, vmaf)
        return version, frames

    def command(
        self,
        video: RawVideo,
        distorted: RawVideo,
        extractors: Sequence[str],
        model: bool,
        log_path: str,
    ) -> list[str]:
        """Return the command line for one pass."""
        named = model_option(self._parameters.model)
        scoring = ["--model", named] if model else ["--no_prediction"]
        return [
            self._program,
            "-r", video.path, "-d", distorted.path,
            "-w", str(video.width), "-h", str(video.height),
            "-p", "420", "-b", str(video.bit_depth),
            "--threads", str(self._parameters.threads),
            *scoring,
            *[argument for name in extractors for argument in ("--feature", name)],
            *self._device_arguments(),
            *self._cpumask(video, extractors, model),
            "--json", "-o", log_path, "-q",
        ]  # fmt: skip

    @functools.cached_property
    def _options(self) -> frozenset[str]:
        """Long options of the binary; they show that it is the fork's."""
        if not self.path.is_file():
            raise self._unusable("does not exist")
        if not os.access(self.path, os.X_OK):
            raise self._unusable("is not executable")
        options = self._usage()
        if options & _FORK_OPTIONS:
            return options
        if not options >= _LIBVMAF_OPTIONS:
            raise self._unusable("is not a vmaf: it prints no usage that names vmaf's options")
        version = _text(self._execute([self._program, "--version"], (), _TRY_OUT_S)).strip()[:40]
        raise self._unusable(
            f"is Netflix's vmaf {version}, not the fork's: its usage has no --backend"
        )

    def _usage(self) -> frozenset[str]:
        """Return the options in the usage text, which it prints if it has no arguments."""
        limit = min(_TRY_OUT_S, self._parameters.clip_timeout_s)
        return frozenset(_OPTION.findall(_text(self._execute([self._program], (), limit))))

    @property
    def _program(self) -> str:
        return str(self.path.absolute())

    def _device_arguments(self) -> list[str]:
        options, switches = self._options, [f"--{name}" for name in _GPU_SWITCHES]
        if self._device == "cuda":
            # Without it older builds do not use the GPU, not even for CUDA extractors.
            return ["--backend", "cuda"]
        requested = switches if self._parameters.no_cuda else []
        if "backend" in options:
            # Without it newer builds choose the GPU by themselves.
            return ["--backend", "cpu", *requested]
        return requested or [switch for switch in switches if switch[2:] in options]

    def _cpumask(self, video: RawVideo, extractors: Sequence[str], model: bool) -> list[str]:
        """Run ``adm`` in plain C on narrow pictures, for which libvmaf's vector code is wrong."""
        measures_adm = model or "adm" in extractors
        narrow = video.width <= _WIDEST_WRONG
        return ["--cpumask", _NO_VECTOR_CODE] if narrow and measures_adm else []

    def _has_options(self, extractors: Sequence[str]) -> bool:
        return is_model_file(self._parameters.model) or any("=" in name for name in extractors)

    def _try_out(self, extractors: Sequence[str], model: bool) -> tuple[str, Frames]:
        with _synthetic_video() as video:
            return self.score(video, extractors, model, timeout_s=_TRY_OUT_S)

    def _pass(
        self,
        video: RawVideo,
        distorted: RawVideo,
        extractors: Sequence[str],
        model: bool,
        timeout_s: float | None,
    ) -> tuple[str, Frames]:
        with os.fdopen(os.memfd_create("vmaf-log"), "rb") as log:
            log_path = f"/proc/self/fd/{log.fileno()}"
            command = self.command(video, distorted, extractors, model, log_path)
            descriptors = (video.descriptor, distorted.descriptor, log.fileno())
            with self._device_slot():
                result = self._execute(command, descriptors, timeout_s)
            text = log.read()
        _check_status(result, text)
        self._check_device(text)
        version, frames = parse_log(text)
        if len(frames) != video.frames:
            raise ClipError(
                "score",
                "frame_count",
                f"{video.frames} frames decoded, {len(frames)} scored; {result.describe()}",
            )
        return version, frames

    def _check_device(self, log: bytes) -> None:
        used = _BACKEND_USED.search(log)
        if used and (name := used[1].decode(errors="replace")) != self._device:
            raise self._unusable(f"scored on {name} instead of {self._device}")

    def _device_slot(self) -> AbstractContextManager[None]:
        on_gpu = self._device == "cuda"
        return gpu_slot(self._parameters.gpu_processes) if on_gpu else nullcontext()

    def _execute(
        self, command: list[str], descriptors: tuple[int, ...], timeout_s: float | None
    ) -> ToolResult:
        limit = timeout_s or self._parameters.clip_timeout_s
        try:
            return self._run(command, timeout_s=limit, pass_fds=descriptors)
        except ToolError as error:
            reason = "vmaf_crashed" if error.reason == CRASHED else error.reason
            raise ClipError("score", reason, str(error)) from error
        except OSError as error:
            raise self._unusable(f"cannot be run: {error}") from error

    def _unusable(self, why: str) -> EngineError:
        return EngineError(
            f"vmaf binary {self.path} {why}. {ADVICE[self._device]}; or score with the engine "
            "that needs no build: vmaf.backend=embedded"
        )


def _check_status(result: ToolResult, log: bytes) -> None:
    if result.returncode:
        raise ClipError("score", "vmaf_failed", result.describe())
    if not log:
        raise ClipError("score", "no_log", f"no log written; {result.describe()}")


def _text(result: ToolResult) -> str:
    return result.stderr + result.stdout.decode("utf-8", errors="replace")


def _has(frames: Frames, key: str) -> bool:
    """Return whether a feature, under any of its names, or a key is on every frame."""
    names = candidate_keys(key)
    return all(any(name in metrics for name in names) for metrics in frames.values())


def _describe_missing(frames: Frames, key: str) -> str:
    similar = similar_keys(key, frames[0]) if frames else ()
    return f"{key} (only {', '.join(similar)})" if similar else key


@contextmanager
def _synthetic_video() -> Iterator[RawVideo]:
    width = height = 256
    size = 2 * frame_bytes(width, height, 8)
    noise = np.random.default_rng(0).integers(16, 235, size, dtype=np.uint8)
    with tempfile.TemporaryFile() as file:
        file.write(noise.tobytes())
        file.flush()
        yield RawVideo(file.fileno(), width, height, 8, frames=2)
