"""The place of each clip's row in a journal, so that a merge need not hold all rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal.files import line_name, opened, read_header
from k150k_pipeline.journal.handle import Journal
from k150k_pipeline.journal.precedence import RowChoice
from k150k_pipeline.journal.records import Entry, decode_entry


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a line.

    Attributes:
        path: Journal file.
        offset: First byte of the line.
        length: Bytes of the line.
        fingerprint: Fingerprint of the file.
    """

    path: Path
    offset: int
    length: int
    fingerprint: str


def index_rows(
    journal: Journal,
    fingerprint: str,
    accepted: Collection[str],
    skipped: Collection[str] = (),
    counts: Callable[[Entry], bool] = lambda _: True,
) -> dict[str, Place]:
    """Return the place of the row of each clip that counts by :class:`RowChoice`.

    Args:
        journal: The journal.
        fingerprint: Fingerprint of the run.
        accepted: Other fingerprints whose rows count.
        skipped: Lines that are passed over, as file:line.
        counts: Returns whether a row counts.

    Raises:
        JournalError: A file cannot be opened, or has another format.
    """
    places: dict[str, Place] = {}
    choice = RowChoice(fingerprint, accepted)
    for path in journal.files():
        with opened(path) as file:
            header, _ = read_header(file, path)
            if header is not None and choice.usable(header.fingerprint):
                rows = _rows_of(file, path, header.fingerprint, skipped)
                places |= {
                    row.clip: place
                    for row, place in rows
                    if counts(row) and choice.takes(row.clip, row.fingerprint)
                }
    return places


_MOST_OPEN = 256  # a journal may have more files than a process may have open


class PlaceReader:
    """Reads lines at their places; it keeps the latest files open until it is closed."""

    def __init__(self) -> None:
        self._files: dict[Path, BinaryIO] = {}

    def __enter__(self) -> PlaceReader:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def read(self, place: Place) -> Entry:
        """Return the entry at a place.

        Raises:
            JournalError: The line is not there any more.
        """
        file = self._open(place.path)
        file.seek(place.offset)
        entry = decode_entry(file.read(place.length), place.fingerprint)
        if entry is None:
            raise JournalError(
                f"{place.path} has changed while it was read: run the same command again"
            )
        return entry

    def _open(self, path: Path) -> BinaryIO:
        file = self._files.pop(path, None) or path.open("rb")
        if len(self._files) >= _MOST_OPEN:
            self._files.pop(next(iter(self._files))).close()
        self._files[path] = file
        return file


def _rows_of(
    file: BinaryIO, path: Path, key: str, skipped: Collection[str]
) -> Iterator[tuple[Entry, Place]]:
    offset = file.tell()
    for number, line in enumerate(file, start=2):
        entry = decode_entry(line, key)
        if entry is not None and entry.failure is None and line_name(path, number) not in skipped:
            yield entry, Place(path, offset, len(line), key)
        offset += len(line)
