"""CSV files of a drop: read row by row, however they are written."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
            first = file.readline()
            if not first.strip():
                raise InputError(f"{path} is empty")
            delimiter = max(_DELIMITERS, key=first.count)
            header = next(csv.reader([first], delimiter=delimiter))
            yield header, _rows(csv.reader(file, delimiter=delimiter))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file in UTF-8: {error}") from error
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file: {error}") from error


def _rows(reader: Iterator[list[str]]) -> Rows:
    for cells in reader:
        if cells:
            yield reader.line_num + 1, cells  # type: ignore[attr-defined]
