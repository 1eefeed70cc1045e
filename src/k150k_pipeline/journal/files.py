"""Reading of journal files, whole or damaged."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal.records import FORMAT, Entry, decode_entry, decode_line

_ENTRIES = "shard-*.jsonl"

Check = Callable[[Entry], bool]
"""Returns whether the payload of an entry is of the form that a pipeline writes."""


@dataclass
class Damage:
    """Lines that cannot be read: the number of torn last lines, and the others as file:line."""

    torn: int = 0
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a journal file: the fingerprint of its rows, and what it stands for."""

    fingerprint: str
    scoring: dict[str, Any]


def files_of(folder: Path) -> list[Path]:
    """Return the journal files in a folder, sorted by name."""
    return [path for path in sorted(folder.glob(_ENTRIES)) if path.is_file()]


def note_what_is_no_file(folder: Path, damage: Damage) -> None:
    """Add to the damage what is named like a journal file and is none, such as a folder."""
    for path in sorted(folder.glob(_ENTRIES)):
        if not path.is_file():
            damage.broken.append(f"{path.name} (not a file)")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a journal file.

    Raises:
        JournalError: It cannot be opened; the message names it.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise JournalError(
            f"the journal file {path} cannot be read: {error.strerror}. Make it readable, or move "
            "it away to process its clips again"
        ) from error
    with file:
        yield file


def read_header(file: BinaryIO, path: Path) -> tuple[Header | None, bytes]:
    """Read the first line of a journal file.

    Returns:
        The header, None if it cannot be read; and the line.

    Raises:
        JournalError: The file has another format than this version reads.
    """
    line = file.readline().removeprefix(codecs.BOM_UTF8)  # an editor may have put it there
    decoded = decode_line(line)
    _refuse_other_format(decoded[0] if decoded else _parse_anyway(line), path)
    fields = decoded[0] if decoded else {}
    key, scoring = fields.get("fingerprint"), fields.get("scoring")
    if fields.get("journal") != FORMAT or not isinstance(key, str) or not isinstance(scoring, dict):
        return None, line
    return Header(key, scoring), line


def read_entries(
    path: Path, damage: Damage, check: Check | None, skipped: Collection[str]
) -> Iterator[Entry]:
    """Yield the finished clips of a file; a line that cannot be read is noted and passed over.

    Args:
        path: The file.
        damage: Collects the lines that cannot be read.
        check: Returns whether a payload is understood; a line with another one cannot be read.
        skipped: Lines passed over without a note, as file:line.
    """
    with opened(path) as file:
        header, first = read_header(file, path)
        if header is None:
            _note(damage, path, "1 (the header: no line of this file is used)", first)
            return
        for number, line in enumerate(file, start=2):
            if skipped and line_name(path, number) in skipped:
                continue
            entry = decode_entry(line, header.fingerprint)
            if entry is None or not _is_understood(entry, check):
                _note(damage, path, number, line)
            else:
                yield entry


def line_name(path: Path, number: int | str) -> str:
    """Return a line of a journal file as file:line."""
    return f"{path.name}:{number}"


def _is_understood(entry: Entry, check: Check | None) -> bool:
    if check is None or entry.failure is not None:
        return True
    try:
        return check(entry)
    except ValueError:  # its payload is not JSON
        return False


def _note(damage: Damage, path: Path, number: int | str, line: bytes) -> None:
    if line.endswith(b"\n"):
        damage.broken.append(line_name(path, number))
    elif line:
        damage.torn += 1


def _parse_anyway(line: bytes) -> dict[str, Any]:
    """Return the fields of a header whose checksum is wrong, or that has none."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _refuse_other_format(fields: dict[str, Any], path: Path) -> None:
    number = fields.get("journal", FORMAT)
    if number != FORMAT:
        raise JournalError(
            f"the journal file {path} has the format {number!r}, and this version reads format "
            f"{FORMAT}: use the version that wrote the file, or move the file away to process its "
            "clips again"
        )
