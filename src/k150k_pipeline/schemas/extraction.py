"""What the nodes of the extract pipeline hand to each other."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class ExtractionPlan(BaseModel):
    """What a run sets out to do, fixed before its first clip.

    Attributes:
        corpus: ``k150ka`` or ``k150kb``.
        fingerprint: Key of what determines the numbers of this run.
        accepted: Other fingerprints whose journaled rows are used beside it.
        scoring: What the fingerprint stands for.
        mos: MOS by clip name, for every clip that has a label and either a file or a row.
        due: Clips to score in this run, sorted.
        attempts: Failed attempts of earlier runs, for due clips.
        done_before: Number of wanted clips that had a row when the run began.
        recovered: Rows taken over from an older script or an earlier parquet.
        clips_without_label: Names of clip files that no score row names.
        labels_without_clip: Names of score rows that have no clip file and no row.
        bad_labels: Score rows left out, with the reason.
        torn_lines: Journal lines that a killed writer had left unfinished.
        broken_lines: Journal lines unreadable for another reason, as file:line.
        started_at: Seconds since the epoch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    corpus: str
    fingerprint: str
    accepted: list[str]
    scoring: dict[str, Any]
    mos: dict[str, float]
    due: list[str]
    attempts: dict[str, int]
    done_before: int
    recovered: int
    clips_without_label: list[str]
    labels_without_clip: list[str]
    bad_labels: list[str]
    torn_lines: int
    broken_lines: list[str]
    started_at: float
