"""The one interface that every backend implements."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Protocol

from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.vmaf.log import FrameValues
from k150k_pipeline.vmaf.plans import Plan


@dataclass(frozen=True)
class EngineIdentity:
    """What determines an engine's numbers.

    Attributes:
        backend: ``native``, ``embedded``, ``cpu`` or ``cuda``.
        engine: Name of the scoring program.
        version: Its version; for two binaries, both.
        libvmaf: Version that libvmaf writes into its log.
        decoder: Name and version of what decodes.
        model: VMAF model.
    """

    backend: str
    engine: str
    version: str
    libvmaf: str
    decoder: str
    model: str

    def as_dict(self) -> dict[str, str]:
        """Return the fields as a plain mapping."""
        return asdict(self)


@dataclass(frozen=True)
class ClipScore:
    """The scores of one clip.

    Attributes:
        clip: The clip.
        frames: Number of frames, each scored once.
        values: All 22 features, shape (frames,) each.
        whole: Whether every frame of the clip was scored; False if scoring ended after the first
            frames, even if the clip has no more.
    """

    clip: ClipInfo
    frames: int
    values: FrameValues
    whole: bool = True


class Engine(Protocol):
    """Scores clips against themselves."""

    def identify(self) -> EngineIdentity:
        """Try the engine out and return its identity.

        Raises:
            EngineError: It is missing, or lacks something that every plan needs.
        """

    def score(self, clip: ClipInfo, plan: Plan, first: int | None = None) -> ClipScore:
        """Score every frame of a clip, or its first ones.

        Args:
            clip: The clip.
            plan: What is measured and what is filled in.
            first: Number of frames to score, at least 1; None for all. A clip with fewer frames
                must be complete.

        Raises:
            ClipError: Stage ``decode`` or ``score``: this clip cannot be scored.
            EngineError: No clip can be scored.
        """
