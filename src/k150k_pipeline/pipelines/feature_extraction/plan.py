"""The models that the nodes of extract pass on to each other."""

from __future__ import annotations

from k150k_pipeline.pipelines.clipwise.plan import ScoringPlan

CLIPS_PER_PART = 2**18
"""Clips whose rows a merge has in memory at a time, and that are one row group of the features.

KoNViD-150k has fewer, so its tables have one row group.
"""


class ExtractionPlan(ScoringPlan):
    """The plan of an extraction; the names of its clips are in tables of their own.

    Attributes:
        corpus: ``k150ka``, ``k150kb``, ``konvid_150k`` or ``konvid_1k``.
        wanted: Number of clips that have a label and either a file or a row.
        due: Number of clips to score in this run.
        recovered: Number of rows taken over from the older script or an earlier parquet.
        bad_labels: One message per score row left out.
        changed_clips: Clips that are not the files that their rows were made from, sorted.
        unknown_files: Number of clips on the disk whose rows do not record their file.
        superseded: SHA-256 of the files whose rows do not count, by clip.
    """

    corpus: str
    wanted: int
    due: int
    recovered: int
    bad_labels: list[str]
    changed_clips: list[str]
    unknown_files: int
    superseded: dict[str, list[str]]
