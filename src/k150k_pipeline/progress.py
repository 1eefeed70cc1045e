"""The progress of a run, read from its files: bars on a terminal, elsewhere lines of the log."""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.constrain import Constrain
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column

from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.watch import JournalTail
from k150k_pipeline.mos.finished import Finished
from k150k_pipeline.mos.steps import StepsTail
from k150k_pipeline.terminal import DRAWING, console, log_above, printable

logger = logging.getLogger(__name__)

RATE_WINDOW_S = 300.0
"""Seconds over which the rate of now is taken."""

_LONGEST_S = 1e9  # thirty years
_WIDE = 80  # columns; on a narrower terminal the time elapsed is left out
_WIDEST = 110  # columns; on a narrower terminal the time of day of the end is left out


def duration(seconds: float) -> str:
    """Return seconds as ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def eta(remaining: int, rate: float) -> str:
    """Return the time left as ``h:mm:ss``; ``?`` while nothing has finished."""
    if not rate > 0 or not remaining / rate < _LONGEST_S:
        return "?"
    return duration(remaining / rate)


def eta_at(remaining: int, rate: float, now: float) -> str:
    """Return the time left and when that is: the time of day, with the date if it is not today.

    Args:
        remaining: What is left to do.
        rate: How much of it is done in a second.
        now: Seconds since the epoch.
    """
    left = eta(remaining, rate)
    if left == "?" or not remaining:
        return left
    today, then = datetime.fromtimestamp(now), datetime.fromtimestamp(now + remaining / rate)
    form = "%H:%M" if today.date() == then.date() else "%Y-%m-%d %H:%M"
    return f"{left} ({then.strftime(form)})"


class _Announced:
    """What a run has announced to do, and how much of it is done.

    Attributes:
        name: Name of the journal or pipeline.
        run: What the run announced; None until then.
        finished: Number of attempts or steps that have ended.
        logged: Number of these when the last line was written.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.run: dict[str, Any] | None = None
        self.finished = self.logged = 0

    def new_failures(self) -> list[str]:
        """Return a line for each kind of failure that is new."""
        return []

    def _left(self, rate: float, clock: bool) -> str:
        remaining = max(self.due - self.finished, 0)
        return eta_at(remaining, rate, time.time()) if clock else eta(remaining, rate)

    @property
    def due(self) -> int:
        return int(self.run["due"]) if self.run else 0

    @property
    def complete(self) -> bool:
        return self.run is not None and self.finished >= self.due


class _Job(_Announced):
    """The progress in one journal, in attempts."""

    def __init__(self, name: str, journal: Journal, planned: bool) -> None:
        super().__init__(name)
        self._journal = journal
        self._earliest = 0.0 if planned else time.time()
        self._told = 0
        self._tail = JournalTail(journal, skip_existing=True)

    @property
    def kept(self) -> Counter[str]:
        """Number of clips that the run finished without a failure."""
        return Counter({"clips": self._tail.poll().ok})

    def new_failures(self) -> list[str]:
        """Return a line for each reason of failure that is new, with the clip that had it first."""
        new = list(self._tail.seen.first.items())[self._told :]
        self._told += len(new)
        return [f"{self.name}: {printable(f'{clip} failed: {s}: {r}')}" for (s, r), clip in new]

    def update(self) -> None:
        """Read the new lines of the journal."""
        if self.run is None:
            self.run = self._announced()
        if self.run is None:
            return
        seen = self._tail.poll()
        self.finished = seen.ok + seen.failed

    def _announced(self) -> dict[str, Any] | None:
        try:
            run = self._journal.announced()
        except JournalError:  # it is of an earlier run, and this one replaces it
            return None
        return None if run is None or run["started_at"] < self._earliest else run

    def describe(self, clock: bool = True) -> str:
        """Return rate, failures and time left; with a clock, also when that is."""
        assert self.run is not None
        seen, now = self._tail.seen, time.time()
        rate = seen.rate(max(self.run["started_at"], now - RATE_WINDOW_S), now)
        left = self._left(rate, clock)
        return f"{rate:.2f} clips/s, {seen.failed} failed, ETA {left}"

    def line(self) -> str:
        """Return the progress as a line of the log."""
        assert self.run is not None
        overall = self._tail.seen.rate(self.run["started_at"], time.time())
        line = f"{self.name}: {self.finished} of {self.due} clips: {self.describe()}"
        line += f", {overall:.2f} clips/s overall"
        counts = [f"{n} x {': '.join(why)}" for why, n in self._tail.seen.reasons.most_common()]
        return "; failed: ".join(filter(None, [line, printable(", ".join(counts))]))


class _CountedJob(_Announced):
    """The progress of a run that counts its steps, done or skipped, such as the fits of a model."""

    def __init__(self, name: str, finished: Finished) -> None:
        super().__init__(name)
        self._tail = StepsTail(finished)
        self._started = 0.0

    @property
    def kept(self) -> Counter[str]:
        """Number of parts that the run finished, by what they are."""
        self._tail.poll()
        return self._tail.kept()

    def update(self) -> None:
        """Read the new lines of the file of steps."""
        seen = self._tail.poll()
        if self.run is None and seen.due:
            self._started = time.monotonic()
            self.run = {"due": seen.due, "flush_every": math.inf}
        self.finished = seen.done + seen.skipped

    def describe(self, clock: bool = True) -> str:
        """Return what is kept from earlier runs, and the last step or, if known, the time left."""
        seen = self._tail.seen
        rate = seen.done / max(time.monotonic() - self._started, 1e-3)
        left = f"ETA {self._left(rate, clock)}" if seen.even else seen.note
        kept = f"{seen.skipped} kept from before" if seen.skipped else ""
        return ", ".join(filter(None, [kept, left]))

    def line(self) -> str:
        """Return the progress as a line of the log."""
        count = f"{self.name}: {self.finished} of {self.due} {self._tail.seen.unit}"
        return ": ".join(filter(None, [count, self.describe()]))


_AnyJob = _Job | _CountedJob


class ProgressReporter:
    """A thread that shows the progress of a run.

    Args:
        journals: Journals that the run writes, by name; may be empty.
        counted: Folders of finished parts whose steps the run counts, by name.
        planned: Whether the run was planned before, by another process.
        poll_s: Seconds between two readings of the journals.
        line_every_s: Off a terminal, the most seconds without a line.
    """

    def __init__(
        self,
        journals: Mapping[str, Journal],
        counted: Mapping[str, Finished] | None = None,
        *,
        planned: bool = False,
        poll_s: float = 0.5,
        line_every_s: float = 30.0,
    ) -> None:
        self._jobs: list[_AnyJob] = [_Job(n, journal, planned) for n, journal in journals.items()]
        self._jobs += [_CountedJob(name, parts) for name, parts in (counted or {}).items()]
        self._poll_s = poll_s
        self._line_every_s = line_every_s
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> Counter[str]:
        """Read a last time and end; return how many clips, folds and splits are finished."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        return sum((job.kept for job in self._jobs), Counter())

    def _watch(self) -> None:
        if console().is_terminal:
            self._show_bars()
        else:
            self._write_lines()

    def _wait_and_update(self) -> bool:
        """Wait, then read every journal; return whether the run has ended."""
        ended = self._ended.wait(self._poll_s)
        for job in self._jobs:
            job.update()
            for line in job.new_failures():
                logger.info("%s", line)
        return ended

    def _phase(self) -> str | None:
        """Return what the run does while it processes no clips; None while it does."""
        if any(job.run and not job.complete for job in self._jobs):
            return None
        if all(job.complete for job in self._jobs):
            return "writing" if self._jobs else "working"
        return "planning"

    def _show_bars(self) -> None:
        with log_above(), _Bars() as bars:
            ended = False
            while not ended:
                ended = self._wait_and_update()
                bars.draw(self._jobs, None if ended else self._phase())

    def _write_lines(self) -> None:
        last_line = time.monotonic()
        while True:
            ended = self._wait_and_update()
            lines = [job.line() for job in self._jobs if _is_news(job, ended)]
            if not lines and not ended and time.monotonic() - last_line >= self._line_every_s:
                lines = self._unchanged()
            for line in lines:
                logger.info("%s", line)
                last_line = time.monotonic()
            if ended:
                return

    def _unchanged(self) -> list[str]:
        phase = self._phase()
        if phase is None:
            return [job.line() for job in self._jobs if job.run and not job.complete]
        return [f"still {phase}, {duration(time.monotonic() - self._started)} since the start"]


class _Bars:
    """A row for each job, and one for the phase of the run."""

    def __init__(self) -> None:
        self._rows: dict[str, TaskID] = {}
        self._bar = _progress()
        self._phase_row = self._bar.add_task("planning", total=1, count="", note="")

    def __enter__(self) -> _Bars:
        with DRAWING:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        with DRAWING:
            self._bar.stop()

    def draw(self, jobs: Iterable[_AnyJob], phase: str | None) -> None:
        """Show the progress of the jobs, and the phase of the run; None hides the phase."""
        with DRAWING:
            for job in jobs:
                self._show(job)
            self._bar.update(self._phase_row, description=phase or "", visible=phase is not None)
            self._bar.refresh()

    def _show(self, job: _AnyJob) -> None:
        if not job.due:
            return
        if job.name not in self._rows:
            self._rows[job.name] = self._bar.add_task(job.name, total=job.due, count="", note="")
        count, row = f"{job.finished}/{job.due}", self._rows[job.name]
        note = job.describe(clock=console().width >= _WIDEST)
        self._bar.update(row, completed=job.finished, count=count, note=note)


class _Rows(Progress):
    """Rows with room at the end for the ``^C`` that a terminal prints, so that none wraps."""

    def get_renderable(self) -> Constrain:
        return Constrain(super().get_renderable(), console().width - len("^C") - 1)


def _progress() -> Progress:
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4)),
        TextColumn("{task.fields[count]}", markup=False, table_column=Column(no_wrap=True)),
        TextColumn(
            "{task.fields[note]}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis"),
        ),
    )
    elapsed = [TimeElapsedColumn()] if console().width >= _WIDE else []
    return _Rows(
        *columns,
        *elapsed,
        console=console(),
        auto_refresh=False,
        expand=True,
        redirect_stdout=sys.stdout.isatty(),
    )


def _is_news(job: _AnyJob, ended: bool) -> bool:
    """Return whether enough has been finished since the last line to write another one."""
    new = job.finished - job.logged
    if job.run is None or not new:
        return False
    if new >= job.run["flush_every"] or job.complete or ended:
        job.logged = job.finished
        return True
    return False
