"""The models that the nodes of ingest pass on to each other."""

from __future__ import annotations

from k150k_pipeline.pipelines.clipwise.plan import Passed, RunPlan


class Label(Passed):
    """The label of one clip; ``folder`` is the index of its clip folder."""

    mos: float
    mos_std_dev: float
    n_ratings: int
    url: str
    checksum: str
    folder: int


class DropLabels(Passed):
    """The contents of a drop's tables.

    Attributes:
        layout: ``manifest``, ``split`` or ``konvid_1k``.
        tables: Score tables.
        folders: Clip folder of each table.
        votes: Vote tables.
        rows: Labels by clip file name, sorted.
        problems: One message per row left out, with file and line.
        repeated: Names that occur again with the same MOS.
        disagreements: Clips whose votes do not have their MOS as mean.
        bad_votes: Number of vote rows left out.
        vote_problems: One message for each of the first vote rows left out.
        votes_without_label: Number of clips that have votes and no label.
    """

    layout: str
    tables: list[str]
    folders: list[str]
    votes: list[str]
    rows: dict[str, Label]
    problems: list[str]
    repeated: list[str]
    disagreements: list[str]
    bad_votes: int
    vote_problems: list[str]
    votes_without_label: int


class IngestPlan(RunPlan):
    """The plan of an ingestion.

    Attributes:
        wanted: Number of labelled clips.
        fetch: Clips to download and probe, sorted.
        probe: Clips on the disk to probe, sorted.
        given_up: Reasons of the clips whose download an earlier run gave up, by name.
        left_out: Number of clips that ``ingest.limit`` excludes from download and probing.
    """

    wanted: int
    fetch: list[str]
    probe: list[str]
    given_up: dict[str, str]
    left_out: int
