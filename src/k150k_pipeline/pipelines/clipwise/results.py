"""What every merge derives from a journal besides its rows: failures, counts, failure rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd

from k150k_pipeline.errors import (
    UNFETCHED,
    FailureRateError,
    PersistentKillsError,
    UnfetchedClipsError,
)
from k150k_pipeline.journal.due import Progress

Report = dict[str, Any]
"""The report of a run, a JSON document for people; docs/files.md has its keys."""

FAILURE_COLUMNS = ("clip_name", "stage", "reason", "attempts", "given_up", "detail")


def failures_table(wanted: Iterable[str], progress: Progress, max_attempts: int) -> pd.DataFrame:
    """Return one row per clip that failed, with its last reason.

    Args:
        wanted: Clips without a row.
        progress: The state of the clips in the journal.
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


def first_names(
    names: Iterable[str], reasons: Iterable[str], most: int = 5
) -> dict[str, list[str]]:
    """Return the first names of the clips that failed, by reason."""
    found: dict[str, list[str]] = {}
    for name, reason in zip(names, reasons, strict=True):
        if len(of_reason := found.setdefault(str(reason), [])) < most:
            of_reason.append(str(name))
    return found


def check_failure_rate(report: Report, limit: float, parameter: str, output: object) -> None:
    """End a run whose clips failed or were killed too often, after everything good is written.

    Args:
        report: Has ``counts`` (``failed``, ``killed``, ``rows``), ``failure_rate``,
            ``failures_by_reason``.
        limit: Highest share of failed clips.
        parameter: Name of the parameter that sets the limit.
        output: Where the good rows are.

    Raises:
        UnfetchedClipsError: Clips have no row because their store did not give them.
        FailureRateError: More clips failed.
        PersistentKillsError: Clips have no row because their process was killed each time.
    """
    check_unfetched(report, output)
    if report["failure_rate"] > limit:
        rows, failed = report["counts"]["rows"], report["counts"]["failed"]
        raise FailureRateError(
            f"{failed} of {rows + failed} clips failed ({report['failure_rate']:.1%}, {parameter} "
            f"is {limit:.1%}): {report['failures_by_reason']}. The {rows} good rows are in {output}"
        )
    check_kills(report, output)


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
