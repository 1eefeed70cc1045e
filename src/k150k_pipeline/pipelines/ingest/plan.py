"""What the nodes of the ingest pipeline pass on to each other."""

from __future__ import annotations

from k150k_pipeline.pipelines.clipwise.plan import Passed, RunPlan


class Label(Passed):
    """What a drop says of one clip; ``folder`` is the index of its clip folder."""

    mos: float
    mos_std_dev: float
    n_ratings: int
    url: str
    checksum: str
    folder: int


class DropLabels(Passed):
    """What the tables of a drop say.

    Attributes:
        layout: ``manifest``, ``split`` or ``konvid_1k``.
        tables: Score tables.
        folders: Clip folder of each table.
        votes: Vote tables.
        rows: Label by clip file name, sorted.
        problems: One message per row left out, with file and line.
        repeated: Names that occurred again with the same MOS.
        disagreements: Clips whose votes do not give their MOS.
        bad_votes: Number of vote rows left out.
        vote_problems: Why, for the first of them.
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
    """What an ingestion sets out to do.

    Attributes:
        wanted: Number of labelled clips.
        fetch: Clips to download and probe, sorted.
        probe: Clips on the disk to probe, sorted.
        given_up: Why clips that an earlier run could not download are not tried again, by name.
        left_out: Number of clips that ``ingest.limit`` keeps from being downloaded or probed.
    """

    wanted: int
    fetch: list[str]
    probe: list[str]
    given_up: dict[str, str]
    left_out: int
