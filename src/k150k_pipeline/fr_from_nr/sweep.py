"""Sweeps: one encode of a source per CRF, and its scores; the interface of both strategies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from k150k_pipeline.errors import ClipError, EngineError
from k150k_pipeline.fr_from_nr.source import Source
from k150k_pipeline.media.encode import EncodeEvidence, EncodeSettings
from k150k_pipeline.media.tools import ToolError, ToolResult, run_tool
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf.engine import EngineIdentity
from k150k_pipeline.vmaf.log import FrameValues

_TRIAL_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class SweepSettings:
    """The settings of a sweep, the same for all sources.

    Attributes:
        crf_sweep: CRFs, in the order of the rows.
        encode: Encoder, preset and threads.
        vmaf: The engine that scores, and the ffmpeg that decodes and encodes.
        scratch_dir: Folder of raw video that is kept, or does not fit into memory.
        keep_intermediate_yuv: Whether the decoded reference is kept.
        encode_dir: Folder of the encodes; None if they are not kept.
    """

    crf_sweep: tuple[int, ...]
    encode: EncodeSettings
    vmaf: VmafParameters
    scratch_dir: Path
    keep_intermediate_yuv: bool
    encode_dir: Path | None

    def encode_path(self, source: Source, crf: int) -> Path | None:
        """Return the path of an encode; None if it is not kept."""
        if self.encode_dir is None:
            return None
        encode = self.encode
        name = f"{source.clip.path.stem}_{encode.encoder}_{encode.preset}_crf{crf}.{encode.muxer}"
        return self.encode_dir / name

    def yuv_path(self, source: Source) -> Path | None:
        """Return the path of the decoded reference; None if it is not kept."""
        if not self.keep_intermediate_yuv:
            return None
        return self.scratch_dir / f"{source.clip.path.stem}.yuv"


@dataclass(frozen=True)
class ScoredEncode:
    """One encode of a sweep.

    Attributes:
        crf: Its CRF.
        evidence: Frames, bytes and statistics of the encode.
        values: Features and vmaf, shape (frames,) each.
        encode_path: Path of the encode; None if it is not kept.
        encode_seconds: Wall-clock seconds of encoding; the strategy says what they include.
        score_seconds: Wall-clock seconds of scoring, likewise.
    """

    crf: int
    evidence: EncodeEvidence
    values: FrameValues
    encode_path: Path | None
    encode_seconds: float
    score_seconds: float


@dataclass(frozen=True)
class SweepIdentity:
    """Everything that determines the numbers of a sweep, besides its settings."""

    engine: EngineIdentity
    ffmpeg_version: str
    encoder_version: str


class SweepStrategy(Protocol):
    """A way from a source to its scored encodes; all strategies give the same numbers."""

    def identify(self) -> SweepIdentity:
        """Try everything out and return its identity.

        Raises:
            EngineError: Something is missing.
        """

    def sweep(self, source: Source) -> list[ScoredEncode]:
        """Encode a source at every CRF and score each encode against the decoded source.

        Raises:
            ClipError: Stage ``decode``, ``encode`` or ``score``: this clip cannot be swept.
            EngineError: No clip can be swept.
        """


def check_counts(source: Source, decoded: int, encode: EncodeEvidence) -> None:
    """Refuse an encode that lacks frames.

    Raises:
        ClipError: Stage ``encode``, reason ``frame_count``.
    """
    if encode.frames != decoded:
        raise ClipError(
            "encode",
            "frame_count",
            f"{source.clip.path}: {decoded} frames decoded, {encode.frames} encoded",
        )


def check_values(source: Source, values: FrameValues) -> None:
    """Refuse scores that are not numbers.

    Raises:
        ClipError: Stage ``score``, reason ``not_a_number``.
    """
    if bad := [feature for feature, column in values.items() if not np.isfinite(column).all()]:
        raise ClipError("score", "not_a_number", f"{source.clip.path}: {', '.join(bad)}")


def try_out(command: list[str], tool: str, problem: str, remedy: str) -> ToolResult:
    """Run a trial of a tool.

    Args:
        command: The trial.
        tool: The binary.
        problem: What it cannot do if the trial fails, for the message.
        remedy: What to do then, for the message.

    Raises:
        EngineError: It fails, hangs, or cannot be run.
    """
    try:
        result = run_tool(command, timeout_s=_TRIAL_TIMEOUT_S)
    except (ToolError, OSError) as error:
        raise EngineError(f"{tool} {problem}: {error}. {remedy}") from error
    if result.returncode:
        raise EngineError(f"{tool} {problem}: {result.describe()}. {remedy}")
    return result


@contextmanager
def kept(path: Path | None) -> Iterator[Path | None]:
    """Yield a temporary path for a file that is renamed to ``path`` when it is whole.

    Yields:
        The path to write to; None if ``path`` is None.
    """
    if path is None:
        yield None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
