"""Reader of a journal that is being written, from this process or another."""

from __future__ import annotations

import math
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from k150k_pipeline.journal.files import opened, read_header
from k150k_pipeline.journal.handle import TAKEN_OVER, Journal
from k150k_pipeline.journal.records import decode_entry

_ASK_EVERY_S = 10.0


@dataclass
class Snapshot:
    """The totals of all lines read so far.

    Attributes:
        clips: Names of the clips that have a row.
        ok: Number of rows that a run finished, without those taken over.
        failed: Number of failed attempts.
        finish_times: When each attempt ended, in seconds since the epoch, unordered.
        failures: Stage and reason of the latest failure of each clip that has no row.
        reasons: Number of failed attempts by stage and reason.
        first: The first clip that failed, by stage and reason.
        last: The last clip in each file, by the name of the file.
    """

    clips: set[str] = field(default_factory=set)
    ok: int = 0
    failed: int = 0
    finish_times: array[float] = field(default_factory=lambda: array("d"))
    failures: dict[str, tuple[str, str]] = field(default_factory=dict)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    first: dict[tuple[str, str], str] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)

    def finished_since(self, moment: float) -> int:
        """Return the number of attempts that ended after a moment."""
        return int(np.count_nonzero(np.array(self.finish_times) >= moment))

    def rate(self, since: float, now: float) -> float:
        """Return attempts per second between two moments; 0 if the clock was set back."""
        if not now > since:
            return 0.0
        times = np.array(self.finish_times)
        return int(np.count_nonzero((times >= since) & (times <= now))) / max(now - since, 1e-3)


class JournalTail:
    """Reads the lines that were appended to a journal since the last call.

    Args:
        journal: The journal.
        skip_existing: Whether lines written before now are passed over.
    """

    def __init__(self, journal: Journal, skip_existing: bool = False) -> None:
        self._journal = journal
        self._offsets: dict[Path, int] = {}
        self.seen = Snapshot()
        self._asked_at = -math.inf
        if skip_existing:
            self._offsets = {path: path.stat().st_size for path in journal.files()}

    def poll(self) -> Snapshot:
        """Read the new complete lines and return the totals so far.

        Raises:
            JournalError: A file with new lines cannot be opened, or has another format.
        """
        for path in self._files():
            taken_over = path.name.startswith(TAKEN_OVER)
            for line in self._new_lines(path):
                self._count(line, path.name, taken_over)
        return self.seen

    def is_outdated(self) -> bool:
        """Return whether lines that were read are gone, as after the journal was removed."""
        return any(_size(path) < offset for path, offset in self._offsets.items())

    def _files(self) -> list[Path]:
        """Return the files of the journal; a store is asked for new ones now and then."""
        asks = time.monotonic() >= self._asked_at + _ASK_EVERY_S
        if asks:
            self._asked_at = time.monotonic()
        return self._journal.files(current=asks)

    def _new_lines(self, path: Path) -> list[bytes]:
        offset = self._offsets.get(path, 0)
        if _size(path) <= offset:
            return []
        with opened(path) as file:
            if offset == 0 and read_header(file, path)[0] is None:
                return []
            file.seek(offset)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._offsets[path] = offset + end
        return data[:end].splitlines(keepends=True)

    def _count(self, line: bytes, file: str, taken_over: bool) -> None:
        entry = decode_entry(line, "")
        if entry is None:
            return
        self.seen.last[file] = entry.clip
        if entry.failure is not None:
            failure = entry.failure.stage, entry.failure.reason
            self.seen.reasons[failure] += 1
            self.seen.first.setdefault(failure, entry.clip)
        if entry.failure is None:
            self.seen.clips.add(entry.clip)
            self.seen.failures.pop(entry.clip, None)
        elif entry.clip not in self.seen.clips:
            self.seen.failures[entry.clip] = entry.failure.stage, entry.failure.reason
        if not taken_over:
            self.seen.finish_times.append(entry.at)
            self.seen.ok += entry.failure is None
            self.seen.failed += entry.failure is not None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # it was removed since the folder was listed
        return 0
