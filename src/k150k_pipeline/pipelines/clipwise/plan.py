"""What the plans of all clip-wise runs have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Passed(BaseModel):
    """Base of what nodes pass on to each other: no unknown keys, no change after it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunPlan(Passed):
    """What a run sets out to do, fixed before its first clip.

    Attributes:
        fingerprint: Key of what determines what this run writes into the journal.
        accepted: Other fingerprints whose journaled rows are used beside it.
        scoring: What the fingerprint stands for.
        done_before: Number of wanted clips that had a row when the run began.
        clips_without_label: Names of clip files that no label names, sorted.
        labels_without_clip: Names of labels that have no clip file and no row, sorted.
        torn_lines: Number of journal lines that a killed writer had left unfinished.
        broken_lines: Journal lines unreadable for another reason, as file:line.
        started_at: Seconds since the epoch.
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


class ShardedPlan(RunPlan):
    """The plan of a run that deals its due clips out to shards.

    Attributes:
        due: Clips to process in this run, sorted.
        attempts: Failed attempts of earlier runs, for due clips that have any.
    """

    due: list[str]
    attempts: dict[str, int]
