"""Reader of all tables of a drop: labelled clips, votes, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from k150k_pipeline.datasets import clip_folder
from k150k_pipeline.errors import InputError
from k150k_pipeline.pipelines.ingest.layouts import Layout, ScoreFile
from k150k_pipeline.pipelines.ingest.plan import DropLabels, Label
from k150k_pipeline.pipelines.ingest.votes import VoteCount, Votes, count_votes
from k150k_pipeline.schemas.ingest import IngestParameters
from k150k_pipeline.schemas.labels import (
    CLIP_SUFFIXES,
    ScoreRow,
    ScoreTable,
    file_name,
    read_scores,
)
from k150k_pipeline.storage import in_words
from k150k_pipeline.tables import open_table


def read_tables(layout: Layout, ingest: IngestParameters) -> DropLabels:
    """Read every score table and every vote table of a drop.

    Raises:
        InputError: There is no usable column or row, scores are fractions, or the corpus cannot
            have so few or so many rows.
    """
    reader = _Reader(ingest)
    for index, file in enumerate(layout.files):
        reader.read(index, file)
    _refuse_other_corpus(layout, reader.row_counts, ingest)
    if not reader.rows:
        raise InputError(
            f"{_names(layout)} has no usable row: correct {'; '.join(reader.problems[:3])}"
        )
    votes = VoteCount()
    for path in sorted({vote for file in layout.files for vote in file.votes}):
        count_votes(path, votes)
    by_file = votes.by_file()
    disagreements = reader.apply_votes(by_file)
    return DropLabels(
        layout=layout.kind,
        tables=[in_words(str(file.path)) for file in layout.files],
        folders=[in_words(str(file.clips)) for file in layout.files],
        votes=[in_words(str(vote)) for file in layout.files for vote in file.votes],
        rows=dict(sorted(reader.rows.items())),
        problems=reader.problems,
        repeated=reader.repeated,
        disagreements=disagreements,
        bad_votes=votes.bad,
        vote_problems=votes.problems,
        votes_without_label=len(by_file.keys() - reader.names_in(by_file)),
    )


class _Reader:
    """Collects the rows of all tables by clip file name; the first row of a name counts."""

    def __init__(self, ingest: IngestParameters) -> None:
        self._ingest = ingest
        self.rows: dict[str, Label] = {}
        self.problems: list[str] = []
        self.repeated: list[str] = []
        self.row_counts: dict[Path, int] = {}

    def read(self, index: int, file: ScoreFile) -> None:
        on_disk = clip_folder(file.clips, CLIP_SUFFIXES).by_stem()
        table = self._read_table(file.path)
        self.problems += [f"{file.path.name} {problem}" for problem in table.problems]
        self.repeated += table.repeated
        for row in table.rows:
            # A label without suffix names the clip with that stem, whatever its suffix.
            name = on_disk.get(row.name, file_name(row.name))
            self._take(index, name, row, file.path.name)

    def _read_table(self, path: Path) -> ScoreTable:
        with open_table(path) as (header, cells):
            counted = _CountedRows(cells)
            scale = self._ingest.score_scale
            table = read_scores(header, counted, str(path), scale, "ingest.score_scale")
        self.row_counts[path] = counted.number
        return table

    def _take(self, index: int, name: str, row: ScoreRow, where: str) -> None:
        label = Label(
            mos=row.mos,
            mos_std_dev=row.mos_std_dev,
            n_ratings=row.n_ratings,
            url=row.url,
            checksum=row.checksum,
            folder=index,
        )
        first = self.rows.setdefault(name, label)
        if first is label:
            return
        if first.mos == label.mos:
            self.repeated.append(name)
        else:
            self.problems.append(
                f"{where}: {name}: a second row (MOS {label.mos:g}, not {first.mos:g})"
            )

    def voted_as(self, name: str, votes: Container[str]) -> str:
        """Return the file name that the vote tables may have for a clip."""
        as_mp4 = file_name(Path(name).stem)
        return name if name in votes or as_mp4 in self.rows else as_mp4

    def names_in(self, votes: Container[str]) -> set[str]:
        """Return the file names that the vote tables may have for all clips."""
        return {self.voted_as(name, votes) for name in self.rows}

    def apply_votes(self, votes: Mapping[str, Votes]) -> list[str]:
        """Take number and SD of the votes into the labels; return where mean and MOS differ."""
        disagreements = []
        for name, label in self.rows.items():
            own = votes.get(self.voted_as(name, votes))
            if own is None:
                continue
            update = {"n_ratings": own.count, "mos_std_dev": own.deviation}
            self.rows[name] = label.model_copy(update=update)
            if abs(own.mean - label.mos) > self._ingest.mos_tolerance:
                disagreements.append(
                    f"{name}: MOS {label.mos:g}, mean of {own.count} votes {own.mean:.4g}"
                )
        return disagreements


class _CountedRows:
    """Rows that are counted while they are read."""

    def __init__(self, rows: Iterable[tuple[int, list[str]]]) -> None:
        self._rows = rows
        self.number = 0

    def __iter__(self) -> Any:
        for row in self._rows:
            self.number += 1
            yield row


def _refuse_other_corpus(
    layout: Layout, row_counts: Mapping[Path, int], ingest: IngestParameters
) -> None:
    rows = sum(row_counts.values())
    if ingest.corpus == "konvid-1k":
        if rows > ingest.max_rows:
            raise InputError(
                f"{_names(layout)}: {rows} rows are too many for KonViD-1k (ingest.max_rows="
                f"{ingest.max_rows}). Is this KonViD-150k? Then set ingest.corpus=konvid-150k"
            )
        return
    guarded = any(file.guarded for file in layout.files)
    if guarded and rows < ingest.min_rows:
        raise InputError(
            f"{_names(layout)}: {rows} rows are too few for KonViD-150k (ingest.min_rows="
            f"{ingest.min_rows}). Is this KonViD-1k? Then set ingest.corpus=konvid-1k; for a "
            "subset lower ingest.min_rows"
        )


def _names(layout: Layout) -> str:
    return ", ".join(str(file.path) for file in layout.files)
