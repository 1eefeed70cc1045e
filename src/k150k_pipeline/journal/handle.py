"""A journal: a folder of append-only JSON-lines files, one per shard and writer."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from k150k_pipeline.durable import write_json
from k150k_pipeline.journal.records import (
    Entry,
    decode_entry,
    decode_line,
    encode_header,
)
from k150k_pipeline.journal.writer import JournalWriter

_ENTRIES = "shard-*.jsonl"
_RUN = "run.json"

TAKEN_OVER = "shard-legacy-"
"""Names of the files with rows that were taken over from other files begin with this."""


@dataclass
class Damage:
    """Lines that cannot be read: the number of torn last lines, and the others as file:line."""

    torn: int = 0
    broken: list[str] = field(default_factory=list)


class Journal:
    """The record of finished clips of one output.

    Args:
        folder: Folder of the journal; made when it is first written to.
        output: The file derived from it.
        also: Folders of further journals whose clips count for this output; they are only read.
    """

    def __init__(self, folder: Path, output: Path, also: Sequence[Path] = ()) -> None:
        self.folder = folder
        self.output = output
        self.also = tuple(also)

    def entries(self, damage: Damage | None = None) -> Iterator[Entry]:
        """Yield every finished clip of every file; a torn last line is passed over.

        Args:
            damage: Collects the lines that cannot be read.
        """
        damage = Damage() if damage is None else damage
        for path in self.files():
            yield from _read_file(path, damage)

    def files(self) -> list[Path]:
        """Return the journal files in a fixed order, this journal's own last."""
        return [*(path for folder in self.also for path in _files_of(folder)), *self.own_files()]

    def own_files(self) -> list[Path]:
        """Return the files of this journal, without those of further journals."""
        return _files_of(self.folder)

    def entries_in(self, names: Sequence[str]) -> Iterator[Entry]:
        """Yield the finished clips of some of this journal's files, of those that exist."""
        for path in (self.folder / name for name in names):
            if path.is_file():
                yield from _read_file(path, Damage())

    @property
    def run_folder(self) -> Path:
        """Folder of what the parts of one run leave for each other."""
        return self.folder / "run"

    def scorings(self) -> dict[str, dict[str, Any]]:
        """Return the description behind each fingerprint."""
        return {
            header["fingerprint"]: header["scoring"]
            for path in self.files()
            if (header := _read_header(path)) is not None
        }

    def cut_torn_lines(self) -> int:
        """Cut off last lines that a killed writer left unfinished; return their number.

        Call this only while holding the run lock.
        """
        return sum(_cut_torn_line(path) for path in self.own_files())

    def writer(self, shard: int, fingerprint: str, scoring: Mapping[str, Any]) -> JournalWriter:
        """Return a writer for one shard; its file is made with the first entry."""
        host, pid = socket.gethostname(), os.getpid()
        name = f"shard-{shard:04d}-{host}-{pid}-{time.time_ns()}.jsonl"
        header = encode_header(fingerprint, dict(scoring), {"host": host, "pid": pid})
        return JournalWriter(self.folder / name, fingerprint, header)

    def announce(self, run: Mapping[str, Any]) -> None:
        """Write down what the present run is to do, for progress bars and status commands."""
        write_json(self.folder / _RUN, run)

    def announced(self) -> dict[str, Any] | None:
        """Return what the present or last run is to do; None if there was no run."""
        try:
            run: dict[str, Any] = json.loads((self.folder / _RUN).read_text("utf-8"))
        except FileNotFoundError:
            return None
        return run


def _files_of(folder: Path) -> list[Path]:
    return sorted(folder.glob(_ENTRIES))


def _read_header(path: Path) -> dict[str, Any] | None:
    with path.open("rb") as file:
        return _parse_header(file.readline())


def _parse_header(line: bytes) -> dict[str, Any] | None:
    decoded = decode_line(line)
    return decoded[0] if decoded and "fingerprint" in decoded[0] else None


def _read_file(path: Path, damage: Damage) -> Iterator[Entry]:
    with path.open("rb") as file:
        first = file.readline()
        header = _parse_header(first)
        if header is None:
            _note(damage, path, "1 (the header: no line of this file is used)", first)
            return
        for number, line in enumerate(file, start=2):
            entry = decode_entry(line, header["fingerprint"])
            if entry is None:
                _note(damage, path, number, line)
            else:
                yield entry


def _note(damage: Damage, path: Path, number: int | str, line: bytes) -> None:
    if line.endswith(b"\n"):
        damage.broken.append(f"{path.name}:{number}")
    elif line:
        damage.torn += 1


def _cut_torn_line(path: Path) -> int:
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return 0
        keep = _end_of_last_line(file.fileno(), size)
        if keep == size:
            return 0
        file.truncate(keep)
        os.fsync(file.fileno())
        return 1


def _end_of_last_line(descriptor: int, size: int, block: int = 65536) -> int:
    end = size
    while end > 0:
        start = max(0, end - block)
        position = os.pread(descriptor, end - start, start).rfind(b"\n")
        if position >= 0:
            return start + position + 1
        end = start
    return 0
