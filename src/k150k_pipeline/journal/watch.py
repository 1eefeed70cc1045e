"""Watching a journal grow, from inside the run or from anywhere else."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from k150k_pipeline.journal.records import decode_line

_RECENT = 2000


@dataclass
class Snapshot:
    """What was seen so far.

    Attributes:
        ok: Clips finished.
        failed: Failed attempts.
        finish_times: When the latest clips finished, seconds since the epoch, ascending.
        last_failures: The latest failures as (clip, stage, reason).
    """

    ok: int = 0
    failed: int = 0
    finish_times: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    last_failures: deque[tuple[str, str, str]] = field(default_factory=lambda: deque(maxlen=5))

    def rate(self, since: float, now: float) -> float:
        """Return clips per second between two moments."""
        if not self.finish_times:
            return 0.0
        complete = len(self.finish_times) < _RECENT
        start = since if complete else max(since, min(self.finish_times))
        finished = sum(1 for t in self.finish_times if t >= start)
        return finished / max(now - start, 1e-3)


class JournalTail:
    """Reads what was appended to a journal's files since the last look.

    Args:
        folder: Folder of the journal.
        skip_existing: Pass over what is there already.
    """

    def __init__(self, folder: Path, skip_existing: bool = False) -> None:
        self._folder = folder
        self._offsets: dict[Path, int] = {}
        self.seen = Snapshot()
        if skip_existing:
            self._offsets = {path: path.stat().st_size for path in self._files()}

    def poll(self) -> Snapshot:
        """Read the new complete lines and return the totals so far."""
        for path in self._files():
            for line in self._new_lines(path):
                self._count(line)
        return self.seen

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("shard-*.jsonl"))

    def _new_lines(self, path: Path) -> list[bytes]:
        offset = self._offsets.get(path, 0)
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._offsets[path] = offset + end
        return data[:end].splitlines(keepends=True)

    def _count(self, line: bytes) -> None:
        decoded = decode_line(line)
        if decoded is None or "clip" not in decoded[0]:
            return
        record = decoded[0]
        self.seen.finish_times.append(record["at"])
        if record["status"] == "ok":
            self.seen.ok += 1
        else:
            self.seen.failed += 1
            self.seen.last_failures.append((record["clip"], record["stage"], record["reason"]))
