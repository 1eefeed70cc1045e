"""A journal: a folder of append-only JSON-lines files, one per shard and writer.

In a store it is a folder of objects that never change; see :mod:`segments`.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from k150k_pipeline.durable import write_json
from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal.files import (
    Check,
    Damage,
    Header,
    files_of,
    note_what_is_no_file,
    opened,
    read_entries,
    read_header,
)
from k150k_pipeline.journal.records import HEADER_START, Entry, encode_header
from k150k_pipeline.journal.segments import SegmentWriter, is_of_run, left, send
from k150k_pipeline.journal.writer import JournalWriter
from k150k_pipeline.storage import StoreError, fetched, refresh, url_of

_RUN = "run.json"
_RUN_NUMBERS = ("started_at", "wanted", "due", "flush_every")

TAKEN_OVER = "shard-legacy-"
"""Names of the files with rows that were taken over from other files begin with this."""


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

    def entries(
        self,
        damage: Damage | None = None,
        check: Check | None = None,
        skipped: Collection[str] = (),
    ) -> Iterator[Entry]:
        """Yield every finished clip of every file; lines that cannot be read are passed over.

        Args:
            damage: Collects the lines that cannot be read.
            check: Returns whether the payload of an entry is understood; if it is not, the line
                cannot be read.
            skipped: Lines that are passed over, as file:line: those that the plan of a run has
                found damaged.

        Raises:
            JournalError: A file cannot be opened, or has another format.
        """
        damage = Damage() if damage is None else damage
        for folder in (*self.also, self.folder):
            _make_current(folder)
            note_what_is_no_file(folder, damage)
        for path in self.files():
            yield from read_entries(path, damage, check, skipped)

    def files(self, *, current: bool = True) -> list[Path]:
        """Return the journal files in a fixed order, this journal's own last.

        Args:
            current: Whether a store is asked for new ones.

        Raises:
            JournalError: They are in a store that cannot be used.
        """
        of = _files_of if current else files_of
        return [path for folder in (*self.also, self.folder) for path in of(folder)]

    def own_files(self) -> list[Path]:
        """Return the files of this journal, without those of further journals.

        Raises:
            JournalError: They are in a store that cannot be used.
        """
        return _files_of(self.folder)

    def has_own_rows(self) -> bool:
        """Return whether a run has recorded clips here, apart from rows that were taken over."""
        return any(not path.name.startswith(TAKEN_OVER) for path in self.own_files())

    def entries_of(self, shard: int, run: str, names: Sequence[str]) -> Iterator[Entry]:
        """Yield the clips of a shard that other processes have finished in a run.

        Args:
            shard: Number of the shard.
            run: Name of the run.
            names: Names of the journal files that such processes have written here. In a store
                those of other machines count too.

        Raises:
            JournalError: They are in a store that cannot be used.
        """
        if url_of(self.folder) is None:
            paths = [self.folder / name for name in names if (self.folder / name).is_file()]
        else:
            self._send_what_is_left()
            _make_current(self.folder, start := f"shard-{shard:04d}-")
            found = sorted(self.folder.glob(f"{start}*.jsonl"))
            paths = [path for path in found if is_of_run(path, run)]
        for path in paths:
            yield from read_entries(path, Damage(), None, ())

    def fetch_output(self) -> None:
        """Make the copies of the output and of the files beside it current, if it is in a store.

        Raises:
            StoreError: The store cannot be used.
        """
        refresh(self.output.parent, self.output.stem, immutable="\0")

    @property
    def run_folder(self) -> Path:
        """Folder of what the parts of one run leave for each other."""
        return self.folder / "run"

    def scorings(self) -> dict[str, dict[str, Any]]:
        """Return the description behind each fingerprint."""
        headers = [_read_header(path) for path in self.files()]
        return {h.fingerprint: h.scoring for h in headers if h is not None}

    def cut_torn_lines(self) -> int:
        """Cut off last lines that a killed writer left unfinished; return their number.

        A file whose header is damaged stays as it is. In a store no line is torn; what writers on
        this machine had not put when they were killed is put. Call this only while holding the
        run lock.

        Raises:
            JournalError: A file cannot be opened, or has another format.
        """
        if url_of(self.folder) is not None:
            return self._send_what_is_left()
        return sum(_cut_torn_line(path) for path in self.own_files() if _is_ours(path))

    def writer(
        self, shard: int, fingerprint: str, scoring: Mapping[str, Any], run: str = ""
    ) -> JournalWriter:
        """Return a writer for one shard; its file is made with the first entry."""
        host, pid = socket.gethostname(), os.getpid()
        name = f"shard-{shard:04d}-{host}-{pid}-{time.time_ns()}.jsonl"
        by = {"host": host, "pid": pid}
        if url_of(self.folder) is None:
            header = encode_header(fingerprint, dict(scoring), by)
            return JournalWriter(self.folder / name, fingerprint, header)
        header = encode_header(fingerprint, dict(scoring), {**by, "run": run})
        return SegmentWriter(self.folder / name, fingerprint, header)

    def _send_what_is_left(self) -> int:
        """Put what dead writers on this machine had not put; return the number of torn lines."""
        torn = 0
        for path in left(self.folder):
            torn += _cut_torn_line(path)
            send(path, self.folder)
        return torn

    def announce(self, run: Mapping[str, Any]) -> None:
        """Write down what the present run is to do, for progress bars and status commands."""
        write_json(self.folder / _RUN, run)

    def announced(self) -> dict[str, Any] | None:
        """Return what the present or last run is to do; None if there was no run.

        Raises:
            JournalError: The file cannot be read.
        """
        path = self.folder / _RUN
        try:
            return _read_run(fetched(path))
        except StoreError as error:
            raise JournalError(str(error)) from error
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise JournalError(
                f"{path} cannot be read ({error}): the next run replaces it"
            ) from error


def _files_of(folder: Path) -> list[Path]:
    _make_current(folder)
    return files_of(folder)


def _make_current(folder: Path, start: str = "") -> None:
    """Fetch what a folder in a store has and this disk has not."""
    try:
        refresh(folder, start)
    except StoreError as error:
        raise JournalError(str(error)) from error


def _read_header(path: Path) -> Header | None:
    with opened(path) as file:
        return read_header(file, path)[0]


def _is_ours(path: Path) -> bool:
    """Return whether a file begins with a header, or with the first part of one."""
    with opened(path) as file:
        header, line = read_header(file, path)
    torn = not line.endswith(b"\n") and HEADER_START.startswith(line[: len(HEADER_START)])
    return torn or header is not None


def _read_run(path: Path) -> dict[str, Any]:
    run = json.loads(path.read_text("utf-8"))
    if not isinstance(run, dict):
        raise ValueError("not a JSON object")
    for name in _RUN_NUMBERS:
        if not isinstance(run.get(name), int | float):
            raise ValueError(f"{name} is not a number")
    return run


def _cut_torn_line(path: Path) -> int:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        keep = _end_of_last_line(file.fileno(), size)
    if keep == size:
        return 0
    with path.open("rb+") as file:
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
