"""The place of each clip's row in a journal, so that a merge need not hold all rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal.handle import Journal
from k150k_pipeline.journal.precedence import RowChoice
from k150k_pipeline.journal.records import Entry, decode_entry, decode_line


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


def index_rows(journal: Journal, fingerprint: str, accepted: Collection[str]) -> dict[str, Place]:
    """Return the place of the row of each clip that counts by :class:`RowChoice`.

    Args:
        journal: The journal.
        fingerprint: Fingerprint of the run.
        accepted: Other fingerprints whose rows count.
    """
    places: dict[str, Place] = {}
    choice = RowChoice(fingerprint, accepted)
    for path in journal.files():
        with path.open("rb") as file:
            key = _fingerprint(file.readline())
            if choice.usable(key):
                _index_file(file, path, key, choice, places)
    return places


class PlaceReader:
    """Reads lines at their places; it keeps the files open until it is closed."""

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
        file = self._files.get(place.path)
        if file is None:
            file = self._files[place.path] = place.path.open("rb")
        file.seek(place.offset)
        entry = decode_entry(file.read(place.length), place.fingerprint)
        if entry is None:
            raise JournalError(
                f"{place.path} has changed while it was read: run the same command again"
            )
        return entry


def _index_file(
    file: BinaryIO, path: Path, key: str, choice: RowChoice, places: dict[str, Place]
) -> None:
    offset = file.tell()
    for line in file:
        decoded = decode_line(line)
        if decoded is not None and decoded[0]["status"] == "ok":
            clip = decoded[0]["clip"]
            if choice.takes(clip, key):
                places[clip] = Place(path, offset, len(line), key)
        offset += len(line)


def _fingerprint(line: bytes) -> str:
    decoded = decode_line(line)
    return str(decoded[0].get("fingerprint", "")) if decoded else ""
