"""Tables: CSV in any of the usual forms, cells that no spreadsheet executes, parquet folders."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from k150k_pipeline.errors import InputError

Rows = Iterator[tuple[int, list[str]]]
"""Line number and cells of each row."""

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # noqa: RUF001 - spreadsheets know wide signs
_HEAD_BYTES = 512
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_OTHER_KINDS = {b"PAR1": "a parquet file", b"PK\x03\x04": "a spreadsheet or another zip archive"}
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")


def quote_formula(cell: str) -> str:
    """Return a cell with an apostrophe before what a spreadsheet would take for a formula.

    A cell that has such apostrophes already gets one more, so that :func:`unquote_formula` gives
    every cell back.
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unquote_formula(cell: str) -> str:
    """Return a cell without the apostrophe that :func:`quote_formula` puts before it."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def is_table(path: Path) -> bool:
    """Return whether there is a file or a folder that :func:`parquet_files` may be asked about."""
    return path.is_file() or path.is_dir()


def parquet_files(path: Path) -> list[Path]:
    """Return the files of a parquet table: itself, or those in its folder, in their order."""
    return sorted(path.glob("*.parquet")) if path.is_dir() else [path]


@contextmanager
def open_table(path: Path) -> Iterator[tuple[list[str], Rows]]:
    """Yield the header of a CSV file, and its rows, each with the number of its last line.

    The file is UTF-8, or UTF-16 with a byte-order mark. Cells are separated by commas, semicolons
    or tabs and may be quoted. Empty lines are passed over.

    Raises:
        InputError: The file cannot be read, is not a table, is empty, or its header does not show
            which delimiter it uses.
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
        raise InputError(
            f"{path} cannot be read ({error.strerror}): make it readable, or name another file"
        ) from error
    except UnicodeError as error:
        raise InputError(
            f"{path} is not a text file in UTF-8: save the table as UTF-8 ({error})"
        ) from error
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file ({error}): name another file") from error


def _encoding(path: Path) -> str:
    """Return the encoding of a file, from its first bytes.

    Raises:
        InputError: It is not a table of text.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(_UTF_16):
        return "utf-16"
    for magic, kind in _OTHER_KINDS.items():
        if head.startswith(magic):
            raise InputError(f"{path} is {kind}, not a CSV file: give a table of text")
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_MARKUP):
        raise InputError(
            f"{path} is a web page, not a CSV file: perhaps the download ended at a login or an "
            "error page; download the table again"
        )
    if head.count(0) > len(head) // 4:  # UTF-16 without its mark; a single one is a bad row
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


def _rows(reader: Any, lines_before: int, path: Path) -> Rows:
    line = lines_before
    try:
        for cells in reader:
            line = lines_before + reader.line_num
            if cells:
                yield line, cells
    except csv.Error as error:
        raise InputError(
            f"{path}: the row that begins on line {line + 1} cannot be read: {error}. Is a quote "
            "left open, or is there text behind a closing one?"
        ) from error
