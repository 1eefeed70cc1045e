"""The models that the nodes of extract pass on to each other."""

from __future__ import annotations

from k150k_pipeline.pipelines.clipwise.plan import ScoringPlan


class ExtractionPlan(ScoringPlan):
    """The plan of an extraction.

    Attributes:
        corpus: ``k150ka``, ``k150kb``, ``konvid_150k`` or ``konvid_1k``.
        mos: MOS by clip name, for every clip that has a label and either a file or a row.
        recovered: Number of rows taken over from the older script or an earlier parquet.
        bad_labels: One message per score row left out.
        changed_clips: Clips that are not the files that their rows were made from, sorted.
        unknown_files: Number of clips on the disk whose rows do not record their file.
        superseded: SHA-256 of the files whose rows do not count, by clip.
    """

    corpus: str
    mos: dict[str, float]
    recovered: int
    bad_labels: list[str]
    changed_clips: list[str]
    unknown_files: int
    superseded: dict[str, list[str]]
