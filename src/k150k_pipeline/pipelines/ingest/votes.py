"""Sums of the votes of each clip, read row by row in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from k150k_pipeline.schemas.features import MOS_MAX, MOS_MIN
from k150k_pipeline.schemas.labels import (
    NAME_COLUMNS,
    VOTE_COLUMNS,
    Columns,
    file_name,
    to_number,
)
from k150k_pipeline.tables import open_table

_KEPT_PROBLEMS = 1000


@dataclass(slots=True)
class Votes:
    """Votes of one clip: their number, sum and sum of squares."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __iadd__(self, other: Votes) -> Self:
        self.count += other.count
        self.total += other.total
        self.squares += other.squares
        return self

    def add(self, vote: float) -> None:
        """Add one vote."""
        self.count += 1
        self.total += vote
        self.squares += vote * vote

    @property
    def mean(self) -> float:
        """Mean opinion score."""
        return self.total / self.count

    @property
    def deviation(self) -> float:
        """Sample standard deviation (ddof 1); 0 for a single vote."""
        if self.count < 2:
            return 0.0
        spread = self.squares - self.total * self.total / self.count
        return math.sqrt(max(spread, 0.0) / (self.count - 1))


@dataclass
class VoteCount:
    """All votes of a corpus.

    Attributes:
        by_name: Votes by clip name as the tables spell it.
        bad: Number of rows left out.
        problems: One message for each of the first rows left out.
    """

    by_name: dict[str, Votes] = field(default_factory=dict)
    bad: int = 0
    problems: list[str] = field(default_factory=list)

    def by_file(self) -> dict[str, Votes]:
        """Return the votes by clip file name; a name with and without suffix is one clip."""
        merged: dict[str, Votes] = {}
        for name, votes in self.by_name.items():
            file = file_name(name)
            merged[file] = merged.get(file, Votes())
            merged[file] += votes
        return merged

    def refuse(self, problem: str) -> None:
        """Count a row that is left out."""
        self.bad += 1
        if len(self.problems) < _KEPT_PROBLEMS:
            self.problems.append(problem)


def count_votes(path: Path, votes: VoteCount) -> None:
    """Add the votes of one table; those outside 1–5 are left out and reported.

    Raises:
        InputError: There is no column of names or of votes.
    """
    with open_table(path) as (header, rows):
        columns = Columns(header, str(path))
        name_at = columns.require(NAME_COLUMNS, "clip names")
        vote_at = columns.require(VOTE_COLUMNS, "votes")
        needed = max(name_at, vote_at)
        for line, cells in rows:
            if len(cells) <= needed:
                votes.refuse(f"{path.name} line {line}: only {len(cells)} cells")
                continue
            name, vote = cells[name_at].strip(), to_number(cells[vote_at])
            if MOS_MIN <= vote <= MOS_MAX and name:
                votes.by_name.setdefault(name, Votes()).add(vote)
            else:
                text = cells[vote_at]
                votes.refuse(f"{path.name} line {line}: {name}: {text!r} is no vote from 1 to 5")
