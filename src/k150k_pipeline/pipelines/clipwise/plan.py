"""Bases of the plans of clip-wise runs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from k150k_pipeline.schemas.parameters import VmafParameters


class Passed(BaseModel):
    """Base of the models that nodes pass on to each other: frozen, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunPlan(Passed):
    """The plan of a run, fixed before its first clip.

    Attributes:
        fingerprint: Key of everything that determines the run's lines in the journal.
        accepted: Other fingerprints whose journaled rows are used too.
        scoring: The description behind the fingerprint.
        done_before: Number of wanted clips that had a row when the run began.
        clips_without_label: Names of clip files that no label names, sorted.
        labels_without_clip: Names of labels that have no clip file and no row, sorted.
        torn_lines: Number of journal lines that a killed writer had left unfinished.
        broken_lines: Journal lines unreadable for another reason, as file:line.
        started_at: Start of the run, in seconds since the epoch.
    """

    fingerprint: str
    accepted: list[str]
    scoring: dict[str, str | int]
    done_before: int
    clips_without_label: list[str]
    labels_without_clip: list[str]
    torn_lines: int
    broken_lines: list[str]
    started_at: float


class ScoringPlan(RunPlan):
    """The plan of a run that scores."""

    def with_engine(self, vmaf: VmafParameters) -> VmafParameters:
        """Return block ``vmaf`` with the engine that the run has decided on instead of ``auto``."""
        return vmaf.model_copy(update={"backend": self.scoring["backend"]})
