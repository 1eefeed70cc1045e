"""What every merge derives from a journal besides its rows: failures, counts, failure rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

import pandas as pd

from k150k_pipeline.errors import (
    KILLED,
    UNFETCHED,
    FailureRateError,
    LostRowsError,
    PersistentKillsError,
    UnfetchedClipsError,
)
from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.due import Attempts
from k150k_pipeline.journal.worker import Tally

Report = dict[str, Any]
"""The report of a run, a JSON document for people; docs/files.md has its keys."""

_FAILED_CLIPS = "failed_clips"
FAILURE_COLUMNS = ("clip_name", "stage", "reason", "attempts", "given_up", "detail")


def failures_table(wanted: Iterable[str], progress: Attempts, max_attempts: int) -> pd.DataFrame:
    """Return one row per clip that failed, with its last reason.

    Args:
        wanted: Clips without a row.
        progress: The failed attempts in the journal.
        max_attempts: Failed attempts after which a clip is given up; a killed one is not counted.
    """
    failed = sorted(name for name in wanted if name in progress.failures)
    rows = [
        {
            "clip_name": name,
            **progress.failures[name].as_dict(),
            "attempts": progress.attempts[name],
            "given_up": progress.given_up(name, max_attempts),
        }
        for name in failed
    ]
    return pd.DataFrame(rows, columns=list(FAILURE_COLUMNS))


def count_by(column: Iterable[str]) -> dict[str, int]:
    """Return how often each value occurs, sorted by value."""
    return {str(key): int(count) for key, count in sorted(Counter(column).items())}


def with_failed_clips(
    report: Report, names: Iterable[str], reasons: Iterable[str], most: int = 5
) -> Report:
    """Return a report with the first names of the clips that failed, by reason, for its page."""
    found: dict[str, list[str]] = {}
    for name, reason in zip(names, reasons, strict=True):
        if len(of_reason := found.setdefault(str(reason), [])) < most:
            of_reason.append(str(name))
    return {**report, _FAILED_CLIPS: found}


def facts_of_page(report: Report) -> tuple[Report, dict[str, list[str]]]:
    """Return a report without its failed clips, as its page embeds it, and these clips."""
    facts = {key: value for key, value in report.items() if key != _FAILED_CLIPS}
    return facts, report[_FAILED_CLIPS]


def with_late_rows(tally: Tally, rows: int, failures: pd.DataFrame, progress: Attempts) -> Tally:
    """Return the tally of a run, in which clips that have a row after all have not failed.

    A process that was taken for dead may finish a clip on which its successor has failed.

    Args:
        tally: What the shards did, as seen by the last process of each.
        rows: Number of rows that earlier runs did not have.
        failures: Failures table of the run.
        progress: The failed attempts in the journal, also of clips that have a row.
    """
    both = len(progress.failures) - len(failures)
    late = min(max(rows - tally.ok, 0), tally.failed, both)
    killed = min(tally.killed, int((failures["reason"] == KILLED).sum()))
    done = {"ok": tally.ok + late, "failed": tally.failed - late, "killed": killed}
    return tally.model_copy(update=done)


def refuse_wrong_count(report: Report, journal: Journal) -> None:
    """Refuse rows that are not those of earlier runs and of this one.

    Args:
        report: Has ``counts`` (``rows``, ``done_before``, ``newly_finished``).
        journal: Journal of the run.

    Raises:
        LostRowsError: Their numbers differ.
    """
    counts = report["counts"]
    surplus = counts["rows"] - counts["done_before"] - counts["newly_finished"]
    # Runs that write the further journals may have finished clips since.
    if surplus < 0 or (surplus and not journal.also):
        raise LostRowsError(
            f"the journal in {journal.folder} has rows of {counts['rows']} clips, but "
            f"{counts['done_before']} were there before and {counts['newly_finished']} were "
            f"finished now. {journal.output} is not replaced and the journal is kept: please "
            "report this"
        )


class Tolerant(Protocol):
    """A parameter block of a run that may fail on some of its clips."""

    max_failure_rate: float


def judge(report: Report, journal: Journal, parameters: Tolerant, *, block: str) -> None:
    """End a run whose clips failed or were killed too often, after its last output.

    Args:
        report: Has ``counts`` (``failed``, ``killed``, ``rows``), ``failure_rate``,
            ``failures_by_reason``.
        journal: Journal of the run; its ``output`` has the good rows.
        parameters: Parameters of the run.
        block: Name of their block.

    Raises:
        UnfetchedClipsError: Clips have no row because their store did not give them.
        FailureRateError: More clips failed than ``max_failure_rate`` of the block allows.
        PersistentKillsError: Clips have no row because their process was killed each time.
    """
    check_unfetched(report, journal.output)
    limit = parameters.max_failure_rate
    if report["failure_rate"] > limit:
        rows, failed = report["counts"]["rows"], report["counts"]["failed"]
        raise FailureRateError(
            f"{failed} of {rows + failed} clips failed ({report['failure_rate']:.1%}, "
            f"{block}.max_failure_rate is {limit:.1%}): {report['failures_by_reason']}. The {rows} "
            f"good rows are in {journal.output}"
        )
    check_kills(report, journal.output)


def check_unfetched(report: Report, output: object) -> None:
    """End a run to which a store did not give all clips.

    Raises:
        UnfetchedClipsError: There is such a clip; everything good is written.
    """
    by_reason = report["failures_by_reason"].items()  # of ingest with the stage before a slash
    if unfetched := sum(n for key, n in by_reason if key.rpartition("/")[2] == UNFETCHED):
        raise UnfetchedClipsError(
            f"{unfetched} clips have no row because their store did not give them (the failures "
            f"table has them as {UNFETCHED}; no attempt of theirs is counted). Run the same "
            f"command again once it answers. All other rows are in {output}"
        )


def check_kills(report: Report, output: object) -> None:
    """End a run in which somebody killed the process of a clip each time it was tried.

    Raises:
        PersistentKillsError: There is such a clip; everything good is written.
    """
    if killed := report["counts"]["killed"]:
        raise PersistentKillsError(
            f"{killed} clips have no row because the process that worked on them was killed each "
            "time, by a signal that is not of its own making (the failures table has them as "
            "killed). Find what kills processes on this machine, such as a job's memory limit, "
            f"and run the same command again. All other rows are in {output}"
        )
