"""One progress bar for all shards, fed by the journals they write."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.watch import JournalTail, Snapshot

logger = logging.getLogger(__name__)

_INTERVAL_S = 0.5
_RATE_WINDOW_S = 300.0


def eta(remaining: int, rate: float) -> str:
    """Return the time left as ``h:mm:ss``; ``?`` while nothing has finished."""
    if rate <= 0:
        return "?"
    minutes, seconds = divmod(round(remaining / rate), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


class ProgressReporter:
    """A thread that tails a journal: a bar on a terminal, log lines elsewhere.

    Args:
        journal: The journal that the shards write.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._started = time.time()
        self._tail = JournalTail(journal, skip_existing=True)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)
        self._logged = 0

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self) -> int:
        """Take a last look and end; return how many clips the run has finished."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        return self._tail.poll().ok

    def _watch(self) -> None:
        run = self._await_plan()
        if run is None or not run["due"]:
            return
        if sys.stderr.isatty():
            self._show_bar(run)
        else:
            self._write_lines(run)

    def _await_plan(self) -> dict[str, Any] | None:
        while True:
            ended = self._ended.wait(_INTERVAL_S)
            run = self._journal.announced()
            if run is not None and run["started_at"] >= self._started:
                return run
            if ended:
                return None

    def _show_bar(self, run: dict[str, Any]) -> None:
        columns = (
            TextColumn("clips"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"), TimeElapsedColumn(),
        )  # fmt: skip
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task: TaskID = bar.add_task("clips", total=run["due"], note="")
            while True:
                ended = self._ended.wait(_INTERVAL_S)
                seen = self._tail.poll()
                finished = seen.ok + seen.failed
                bar.update(task, completed=finished, note=self._describe(run, seen))
                if ended or finished >= run["due"]:
                    return

    def _write_lines(self, run: dict[str, Any]) -> None:
        while True:
            ended = self._ended.wait(_INTERVAL_S)
            seen = self._tail.poll()
            finished = seen.ok + seen.failed
            ended = ended or finished >= run["due"]
            if finished - self._logged >= run["flush_every"] or (ended and finished):
                self._logged = finished
                logger.info("%d of %d clips: %s", finished, run["due"], self._describe(run, seen))
            if ended:
                return

    def _describe(self, run: dict[str, Any], seen: Snapshot) -> str:
        now = time.time()
        rate = seen.rate(max(run["started_at"], now - _RATE_WINDOW_S), now)
        remaining = run["due"] - seen.ok - seen.failed
        return f"{rate:.2f} clips/s, {seen.failed} failed, ETA {eta(remaining, rate)}"
