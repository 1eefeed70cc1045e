"""What the nodes of the fr_from_nr pipeline pass on to each other."""

from __future__ import annotations

from k150k_pipeline.pipelines.clipwise.plan import Passed, ShardedPlan


class FrClip(Passed):
    """What the NR corpus says of a clip: its MOS, and the SHA-256 that it must have."""

    mos: float | None
    sha256: str


class FrPlan(ShardedPlan):
    """What a run of fr_from_nr sets out to do.

    Attributes:
        corpus: Corpus whose clips are re-encoded.
        run_id: Name of the run in the rows it makes.
        clips: Clips that have a corpus row and either a file or FR rows, by name.
    """

    corpus: str
    run_id: str
    clips: dict[str, FrClip]
