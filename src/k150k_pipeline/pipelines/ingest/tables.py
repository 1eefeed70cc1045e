"""CSV files of a drop: read row by row, however they are written."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from k150k_pipeline.errors import InputError

Rows = Iterator[tuple[int, list[str]]]

_DELIMITERS = (",", ";", "\t")


@contextmanager
def open_table(path: Path) -> Iterator[tuple[list[str], Rows]]:
    """Yield the header of a CSV file, and its rows with the line on which each ends.

    A byte-order mark is dropped; CRLF, quotes and the delimiters ``,``, ``;`` and tab are
    understood; empty lines are passed over.

    Raises:
        InputError: The file cannot be read, is not text or is empty.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            number, first = _first_line(file)
            if not first:
                raise InputError(f"{path} is empty")
            delimiter = max(_DELIMITERS, key=first.count)
            header = next(csv.reader([first], delimiter=delimiter, strict=True))
            yield header, _rows(csv.reader(file, delimiter=delimiter, strict=True), number, path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file in UTF-8: {error}") from error
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file: {error}") from error


def _first_line(file: TextIO) -> tuple[int, str]:
    """Return number and text of the first line that is not empty; 0 where there is none."""
    return next(((i, line) for i, line in enumerate(file, start=1) if line.strip()), (0, ""))


def _rows(reader: Any, above: int, path: Path) -> Rows:
    line = above
    try:
        for cells in reader:
            line = above + reader.line_num
            if cells:
                yield line, cells
    except csv.Error as error:
        raise InputError(
            f"{path}: the row that begins on line {line + 1} cannot be read: {error}. Is a quote "
            "left open, or is there text behind a closing one?"
        ) from error
