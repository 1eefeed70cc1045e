"""Backend ``embedded``: libvmaf inside ffmpeg; one process decodes and scores, without YUV."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from k150k_pipeline.errors import ClipError, EngineError
from k150k_pipeline.media.ffmpeg import (
    check_complete,
    conversion_filters,
    decode_arguments,
    explain,
    ffmpeg_version,
    find_ffmpeg,
    head_filters,
    read_evidence,
)
from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.media.tools import ToolResult, run_tool, tool_errors
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf.engine import ClipScore, EngineIdentity
from k150k_pipeline.vmaf.filter import RESTAMP, libvmaf_failed, libvmaf_filter
from k150k_pipeline.vmaf.log import Frames, parse_log, select_features
from k150k_pipeline.vmaf.model import is_model_file, model_label
from k150k_pipeline.vmaf.plans import (
    IDENTITY,
    Plan,
    complete,
    undefined_features,
    unmeasurable_features,
)

LACKING = ("ssimulacra2",)
"""Features that upstream libvmaf lacks; their values on an identity pair are filled in."""


class EmbeddedEngine:
    """libvmaf as a filter of the ffmpeg in the imageio-ffmpeg wheel."""

    tools: ClassVar[int] = 1
    """Tools that run on a clip, one after the other, each within ``vmaf.clip_timeout_s``."""

    def __init__(self, parameters: VmafParameters) -> None:
        self._parameters = parameters
        self._ffmpeg = find_ffmpeg(parameters.ffmpeg)

    def identify(self) -> EngineIdentity:
        """Score a tiny synthetic clip; see :class:`Engine`."""
        version = ffmpeg_version(self._ffmpeg)
        libvmaf, _ = self._try_out()
        return EngineIdentity(
            backend="embedded",
            engine="ffmpeg-libvmaf",
            version=version,
            libvmaf=libvmaf,
            decoder=f"ffmpeg {version}",
            model=model_label(self._parameters.model),
        )

    def score(self, clip: ClipInfo, plan: Plan, first: int | None = None) -> ClipScore:
        """Decode and score a clip in one process; see :class:`Engine`."""
        plan.require_model(self._parameters.model)
        plan = plan.without((*LACKING, *unmeasurable_features(clip), *undefined_features(clip)))
        result = self._run(self.command(clip, plan, first), clip.path)
        if libvmaf_failed(result):
            raise ClipError("score", "libvmaf", f"{clip.path}: {explain(result)}")
        decoded = check_complete(clip, read_evidence(clip, result), first)
        _, frames = parse_log(result.stdout)
        _check_frame_count(clip, len(frames), decoded)
        values = complete(clip, select_features(frames, plan.measured), decoded)
        return ClipScore(clip, decoded, values, whole=decoded != first)

    def command(self, clip: ClipInfo, plan: Plan, first: int | None = None) -> list[str]:
        """Return the command that scores a clip and prints libvmaf's log on stdout."""
        filters = ",".join(
            [*head_filters(first), *RESTAMP, *conversion_filters(clip), "split[r][d]"]
        )
        graph = f"[0:{clip.stream_index}]{filters};[r][d]{self._libvmaf(plan)}"
        return [
            *decode_arguments(self._ffmpeg, clip, self._parameters.threads),
            "-filter_complex", graph, "-fps_mode", "passthrough", "-f", "null", "-",
        ]  # fmt: skip

    def _libvmaf(self, plan: Plan) -> str:
        return libvmaf_filter(
            model=self._parameters.model if plan.with_model else None,
            extractors=plan.extractors,
            threads=self._parameters.threads,
            log_path="/dev/stdout",
        )

    def _try_out(self) -> tuple[str, Frames]:
        source = "testsrc2=size=256x256:rate=25:duration=0.08,format=yuv420p,split[r][d]"
        plan = replace(IDENTITY, with_model=is_model_file(self._parameters.model))
        command = [
            self._ffmpeg, "-nostdin", "-hide_banner", "-v", "error",
            "-filter_complex", f"{source};[r][d]{self._libvmaf(plan)}", "-f", "null", "-",
        ]  # fmt: skip
        try:
            result = self._run(command, Path("a synthetic clip"))
            if result.returncode:
                raise ClipError("score", "libvmaf", result.describe())
            version, frames = parse_log(result.stdout)
            select_features(frames, plan.measured)
        except ClipError as error:
            raise self._unusable(error.detail) from error
        return version, frames

    def _unusable(self, why: str) -> EngineError:
        model = self._parameters.model
        advice = "Unset vmaf.ffmpeg to use the ffmpeg of the imageio-ffmpeg wheel (0.8.1 or later)"
        if is_model_file(model):
            advice += f", and make sure that vmaf.model {model} is a model file of its libvmaf"
        return EngineError(f"{self._ffmpeg} cannot score with libvmaf: {why}. {advice}")

    def _run(self, command: list[str], path: Path) -> ToolResult:
        with tool_errors("score", path, self._ffmpeg):
            return run_tool(command, timeout_s=self._parameters.clip_timeout_s)


def _check_frame_count(clip: ClipInfo, scored: int, decoded: int) -> None:
    if scored != decoded:
        raise ClipError(
            "score", "frame_count", f"{clip.path}: {decoded} frames decoded, {scored} scored"
        )
