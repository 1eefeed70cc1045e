"""The models that the nodes of fr_from_nr pass on to each other."""

from __future__ import annotations

from k150k_pipeline.pipelines.clipwise.plan import Passed, ScoringPlan


class FrClip(Passed):
    """A clip of the NR corpus: its MOS, and the SHA-256 that it must have."""

    mos: float | None
    sha256: str


class FrPlan(ScoringPlan):
    """The plan of a run of fr_from_nr.

    Attributes:
        corpus: Corpus whose clips are encoded.
        run_id: Name of the run in its rows.
        clips: Clips that have a corpus row and either a file or FR rows, by name.
        due: Clips to process in this run, sorted.
        changed_clips: Clips whose only rows are of other bytes than the corpus names, sorted.
        attempts: Failed attempts of earlier runs, for due clips that have any.
    """

    corpus: str
    run_id: str
    clips: dict[str, FrClip]
    due: list[str]
    changed_clips: list[str]
    attempts: dict[str, int]
