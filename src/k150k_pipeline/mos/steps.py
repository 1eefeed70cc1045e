"""Reader of the steps that a run counts, from this process or another."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from k150k_pipeline.mos.finished import Finished


@dataclass
class Counted:
    """The totals of all steps read so far.

    Attributes:
        due: Number of steps that the run has announced; 0 before that.
        unit: What a step is.
        even: Whether every step takes about the same time.
        done: Number of steps that were worked on.
        skipped: Number of steps whose results are kept from earlier runs.
        note: The last step.
        parts: What each part is that was saved, or was about to be, by the name of its file.
    """

    due: int = 0
    unit: str = "steps"
    even: bool = False
    done: int = 0
    skipped: int = 0
    note: str = ""
    parts: dict[str, str] = field(default_factory=dict)


class StepsTail:
    """Reads the steps that were counted since its creation.

    Args:
        finished: The folder whose steps are read.
    """

    def __init__(self, finished: Finished) -> None:
        self._folder = finished.folder
        self._path = finished.steps
        self._offset = self._size()
        self.seen = Counted()

    def poll(self) -> Counted:
        """Read the new complete lines and return the totals so far."""
        size = self._size()
        if size < self._offset:  # the file was emptied or removed
            self._offset = 0
        data = self._read() if size > self._offset else b""
        end = data.rfind(b"\n") + 1
        self._offset += end
        for line in data[:end].splitlines():
            self._count(line)
        return self.seen

    def kept(self) -> Counter[str]:
        """Return how many parts have been saved, by what they are."""
        if self._folder is None:
            return Counter()
        saved = {path.name for path in self._folder.glob("[!.]*.json") if path.is_file()}
        return Counter(part for file, part in self.seen.parts.items() if file in saved)

    def _size(self) -> int:
        try:
            return self._path.stat().st_size if self._path and self._path.is_file() else 0
        except FileNotFoundError:
            return 0

    def _read(self) -> bytes:
        assert self._path is not None
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                return file.read()
        except FileNotFoundError:
            return b""

    def _count(self, line: bytes) -> None:
        try:
            step = json.loads(line)
        except ValueError:
            return
        if not isinstance(step, dict):
            return
        seen = self.seen
        seen.due, seen.unit = step.get("due", seen.due), step.get("unit", seen.unit)
        seen.even, seen.note = step.get("even", seen.even), step.get("note", seen.note)
        seen.done += step.get("done", 0)
        seen.skipped += step.get("skipped", 0)
        file, part = step.get("file"), step.get("part")
        if isinstance(file, str) and isinstance(part, str):
            seen.parts[file] = part
