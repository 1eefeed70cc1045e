"""What the nodes of the extract pipeline pass on to each other."""

from __future__ import annotations

from k150k_pipeline.pipelines.clipwise.plan import ShardedPlan


class ExtractionPlan(ShardedPlan):
    """What an extraction sets out to do.

    Attributes:
        corpus: ``k150ka``, ``k150kb``, ``konvid_150k`` or ``konvid_1k``.
        mos: MOS by clip name, for every clip that has a label and either a file or a row.
        recovered: Number of rows taken over from an older script or an earlier parquet.
        bad_labels: Score rows left out, with the reason.
    """

    corpus: str
    mos: dict[str, float]
    recovered: int
    bad_labels: list[str]
