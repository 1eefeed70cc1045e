"""Score tables: the columns and values that are accepted, and how they are read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from k150k_pipeline.errors import InputError
from k150k_pipeline.schemas.corpus import CORPUS_COLUMNS
from k150k_pipeline.schemas.features import MOS_MAX, MOS_MIN

NAME_COLUMNS = (
    "video_name", "file_name", "filename", "clip_name", "name", "video", "flickr_id", "src",
)  # fmt: skip
SCORE_COLUMNS = ("mos", "video_score", "score", "mean_opinion_score")
SD_COLUMNS = ("sd", "mos_std_dev", "mos_std", "mos_sd", "std", "std_dev", "mos_stddev")
COUNT_COLUMNS = ("n", "n_ratings", "num_ratings", "ratings", "num_votes", "n_votes", "count")
URL_COLUMNS = ("url", "download_url", "video_url", "link")
CHECKSUM_COLUMNS = ("sha256", "checksum", "sha1", "md5")
VOTE_COLUMNS = ("vote", "rating", "video_score", "score", "opinion", "answer", "mos")

CLIP_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv")

ScoreScale = Literal["mos", "fraction_of_five"]

_CHECKSUM_DIGITS = (64, 40, 32)
_MOST_NAME_BYTES = 240  # file systems allow 255, and suffixes such as .part need some of them
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One labelled clip.

    Attributes:
        name: Clip name as the table spells it.
        mos: Mean opinion score, 1–5.
        mos_std_dev: Standard deviation of the votes; 0 where the table has none.
        n_ratings: Number of votes; 0 where the table has none.
        url: Where the clip can be downloaded; empty where the table has none.
        checksum: Hex digest of the clip; empty where the table has none.
    """

    name: str
    mos: float
    mos_std_dev: float = 0.0
    n_ratings: int = 0
    url: str = ""
    checksum: str = ""


@dataclass(frozen=True)
class ScoreTable:
    """The contents of a score table.

    Attributes:
        rows: Usable rows; each name occurs once.
        problems: One message with the line number per row left out, or cell passed over.
        repeated: Names that occur again with the same score; the first row counts.
    """

    rows: list[ScoreRow]
    problems: list[str]
    repeated: list[str]


@dataclass(frozen=True)
class Labels:
    """MOS by clip name, and what is wrong with the other rows.

    Attributes:
        mos: Mean opinion score, 1–5, by clip name as the table spells it.
        skipped: One message per row left out.
    """

    mos: dict[str, float]
    skipped: list[str] = field(default_factory=list)


def read_labels(
    scores: pd.DataFrame,
    *,
    where: str = "scores CSV",
    scale: ScoreScale = "mos",
    bad_rows: Literal["refuse", "skip"] = "refuse",
) -> Labels:
    """Read clip names and MOS.

    Args:
        scores: A scores CSV with every cell as text (the header is line 1), or a MOS corpus.
        where: Name of the table in messages.
        scale: ``fraction_of_five`` if a scores CSV has score ÷ 5; a corpus always has MOS.
        bad_rows: Whether the whole file is refused for a bad row, or the row left out and reported.

    Raises:
        InputError: A column is missing, scores are fractions instead of MOS, or rows are bad.
    """
    if scores.empty:
        raise InputError(f"{where} has no rows: give a table with a row for each clip")
    if set(CORPUS_COLUMNS) <= set(scores.columns):
        scale = "mos"
    columns = Columns([str(column) for column in scores.columns], where)
    needed = [columns.require(NAME_COLUMNS, "clip names"), columns.require(SCORE_COLUMNS, "scores")]
    labels = scores.iloc[:, needed].astype(str)
    cells = enumerate(labels.itertuples(index=False, name=None), start=2)
    table = read_scores(list(labels.columns), cells, where, scale, "extract.score_scale")
    problems = [*table.problems, *(f"{name}: a second row" for name in table.repeated)]
    if problems and bad_rows == "refuse":
        raise InputError(_refusal(where, problems))
    return Labels({row.name: row.mos for row in table.rows}, problems)


def read_scores(
    header: Sequence[str],
    cells: Iterable[tuple[int, Sequence[str]]],
    where: str,
    scale: ScoreScale,
    scale_parameter: str,
) -> ScoreTable:
    """Read every usable row of a score table.

    Args:
        header: Column names; all spellings of the published tables are accepted.
        cells: Line number and cells of each row.
        where: Name of the table in messages.
        scale: ``fraction_of_five`` if scores are divided by 5.
        scale_parameter: Name of the parameter that sets the scale.

    Raises:
        InputError: A column is missing, or scores are fractions instead of MOS.
    """
    columns = Columns(header, where)
    reader = _RowReader(columns, 5.0 if scale == "fraction_of_five" else 1.0)
    for line, row in cells:
        reader.read(line, row)
    if scale == "mos" and -math.inf < reader.highest <= 1.0:
        raise InputError(
            f"{where}: column {columns.name_of(SCORE_COLUMNS)!r} has no value above 1 and up to 5: "
            f"these are fractions of five, not MOS. Set {scale_parameter}=fraction_of_five"
        )
    return ScoreTable(list(reader.rows.values()), reader.problems, reader.repeated)


class Columns:
    """Finds the columns of a table, whichever accepted name they have.

    Args:
        header: Column names as the table spells them.
        where: Name of the table in messages.
    """

    def __init__(self, header: Sequence[str], where: str) -> None:
        self._header = header
        self._where = where
        self._index = {_normalise(name): i for i, name in reversed(list(enumerate(header)))}

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self._header)

    def require(self, accepted: Sequence[str], what: str) -> int:
        """Return the index of a column.

        Raises:
            InputError: There is none; the message has the accepted names and those of the table.
        """
        index = self.find(accepted)
        if index is None:
            raise InputError(
                f"{self._where} has no column with {what}: found are {', '.join(self._header)}. "
                f"Rename one to {', '.join(accepted[:-1])} or {accepted[-1]}"
            )
        return index

    def find(self, accepted: Sequence[str]) -> int | None:
        """Return the index of a column; None if there is none."""
        return next((self._index[name] for name in accepted if name in self._index), None)

    def name_of(self, accepted: Sequence[str]) -> str | None:
        """Return the name of a column in the table; None if there is none."""
        index = self.find(accepted)
        return None if index is None else self._header[index]


class _RowReader:
    """Collects the usable rows, and what is wrong with the others."""

    def __init__(self, columns: Columns, factor: float) -> None:
        self._name = columns.require(NAME_COLUMNS, "clip names")
        self._score = columns.require(SCORE_COLUMNS, "scores")
        optional = (SD_COLUMNS, COUNT_COLUMNS, URL_COLUMNS, CHECKSUM_COLUMNS)
        self._sd, self._count, self._url, self._checksum = map(columns.find, optional)
        self._width = len(columns)
        self._factor = factor
        self.highest = -math.inf
        self.rows: dict[str, ScoreRow] = {}
        self.problems: list[str] = []
        self.repeated: list[str] = []

    def read(self, line: int, cells: Sequence[str]) -> None:
        """Take one row, or note why it is left out."""
        if len(cells) <= max(self._name, self._score):
            self.problems.append(f"line {line}: only {len(cells)} cells")
            return
        if any(cell.strip() for cell in cells[self._width :]):
            self.problems.append(f"line {line}: {len(cells)} cells in {self._width} columns")
            return
        name, text = cells[self._name].strip(), cells[self._score].strip()
        mos = to_number(text) * self._factor
        if mos <= MOS_MAX:
            self.highest = max(self.highest, mos)
        if not name:
            self.problems.append(f"line {line}: no clip name")
        elif not is_file_name(name):
            self.problems.append(f"line {line}: {name!r} is not the name of a file in a folder")
        elif not MOS_MIN <= mos <= MOS_MAX:
            self.problems.append(f"line {line}: {name}: {text!r} is not a MOS between 1 and 5")
        elif name in self.rows:
            self._repeat(line, name, mos)
        else:
            self.rows[name] = ScoreRow(
                name,
                mos,
                self._read_optional(line, name, cells, self._sd),
                round(self._read_optional(line, name, cells, self._count)),
                _cell(cells, self._url),
                self._read_checksum(line, name, cells),
            )

    def _repeat(self, line: int, name: str, mos: float) -> None:
        if mos == self.rows[name].mos:
            self.repeated.append(name)
        else:
            before = self.rows[name].mos
            self.problems.append(f"line {line}: {name}: a second row (MOS {mos:g}, not {before:g})")

    def _read_optional(
        self, line: int, name: str, cells: Sequence[str], column: int | None
    ) -> float:
        text = _cell(cells, column)
        value = to_number(text or "0")
        if 0 <= value < math.inf:
            return value
        self.problems.append(f"line {line}: {name}: {text!r} is passed over (row kept)")
        return 0.0

    def _read_checksum(self, line: int, name: str, cells: Sequence[str]) -> str:
        text = _cell(cells, self._checksum).lower()
        if not text or (len(text) in _CHECKSUM_DIGITS and set(text) <= set("0123456789abcdef")):
            return text
        self.problems.append(f"line {line}: {name}: {text!r} is no checksum (row kept)")
        return ""


def is_file_name(name: str) -> bool:
    """Return whether a name is that of a file directly in a folder, and not hidden."""
    return (
        not name.startswith(".")
        and not set(name) & set("/\\")
        and name.isprintable()
        and len(name.encode()) <= _MOST_NAME_BYTES
    )


def file_name(name: str) -> str:
    """Return the file name of a clip, from a label that may lack the suffix."""
    return name if name.lower().endswith(CLIP_SUFFIXES) else f"{name}.mp4"


def to_number(text: str) -> float:
    """Return a cell as a number; NaN if it is not one."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _cell(cells: Sequence[str], column: int | None) -> str:
    return cells[column].strip() if column is not None and column < len(cells) else ""


def _normalise(name: str) -> str:
    return name.strip().lstrip("\ufeff").strip().lower().replace(" ", "_")


def _refusal(where: str, problems: list[str]) -> str:
    shown = "\n  ".join(problems[:_SHOWN])
    more = f"\n  … and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return (
        f"{where}: {len(problems)} bad rows:\n  {shown}{more}\n"
        "Correct them, or leave them out with extract.bad_labels=skip"
    )
