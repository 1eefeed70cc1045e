"""CSV tables that users bring: read row by row, however they are written."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from k150k_pipeline.errors import InputError

Rows = Iterator[tuple[int, list[str]]]

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_LOOKED_AT_BYTES = 512
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_OTHERS = {b"PAR1": "a parquet file", b"PK\x03\x04": "a spreadsheet or another zip archive"}
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")


@contextmanager
def open_table(path: Path) -> Iterator[tuple[list[str], Rows]]:
    """Yield the header of a CSV file, and its rows with the line on which each ends.

    UTF-8, and UTF-16 with a byte-order mark, are read, with commas, semicolons or tabs between
    the cells, with CRLF and with quotes. Empty lines are passed over.

    Raises:
        InputError: The file cannot be read, is not a table, is empty, or its header does not
            show what separates the cells.
    """
    try:
        with path.open(encoding=_encoding(path), newline="") as file:
            number, first = _first_line(file)
            if not first:
                raise InputError(f"{path} is empty: a CSV file with a header is expected")
            delimiter = _delimiter(first, path)
            header = next(csv.reader([first], delimiter=delimiter, strict=True))
            yield header, _rows(csv.reader(file, delimiter=delimiter, strict=True), number, path)
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder: name the CSV file in it") from error
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: give the place of a CSV file") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeError as error:
        raise InputError(
            f"{path} is not a text file in UTF-8: save the table as UTF-8 ({error})"
        ) from error
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file: {error}") from error


def _encoding(path: Path) -> str:
    """Return how a file is encoded, by its first bytes.

    Raises:
        InputError: It is of another kind than a table of text.
    """
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT_BYTES)
    if start.startswith(_UTF_16):
        return "utf-16"
    for magic, kind in _OTHERS.items():
        if start.startswith(magic):
            raise InputError(f"{path} is {kind}, not a CSV file: give a table of text")
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_MARKUP):
        raise InputError(
            f"{path} is a web page, not a CSV file: perhaps the download ended at a login or an "
            "error page; download the table again"
        )
    if start.count(0) > len(start) // 4:  # UTF-16 without its mark; a single one is a bad row
        raise InputError(f"{path} is not a text file in UTF-8: save the table as UTF-8")
    return "utf-8-sig"


def _delimiter(header: str, path: Path) -> str:
    ranked = sorted(_DELIMITERS, key=header.count, reverse=True)
    first, second = ranked[:2]
    if header.count(first) and header.count(first) == header.count(second):
        raise InputError(
            f"{path}: the header has as many {_DELIMITERS[first]} as {_DELIMITERS[second]}, so it "
            f"does not show what separates the cells: {header.strip()[:80]!r}. Save it with commas"
        )
    return first


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
