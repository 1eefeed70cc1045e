"""The results of earlier runs in the journal, and which of them a run may use."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from k150k_pipeline.errors import InputError
from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.due import Progress, due_clips
from k150k_pipeline.journal.files import Damage
from k150k_pipeline.pipelines.clipwise.plan import RunPlan
from k150k_pipeline.storage import discard, refresh

logger = logging.getLogger(__name__)

_NAMED = 3


def read_due(
    wanted: Sequence[str], progress: Progress, max_attempts: int
) -> tuple[list[str], dict[str, int]]:
    """Return the clips still to be processed, and the failed attempts of those tried before."""
    due = due_clips(wanted, progress, max_attempts)
    return due, {name: progress.attempts[name] for name in due if progress.attempts[name]}


def warn_of_damage(journal: Journal, damage: Damage) -> None:
    """Log how many lines of a journal cannot be read, and name the first of them."""
    if broken := damage.broken:
        more = " …" if len(broken) > _NAMED else ""
        logger.warning(
            "%d lines of the journal %s cannot be read: %s%s. They stay where they are; a clip "
            "that has no other line is processed again",
            len(broken), journal.folder, ", ".join(broken[:_NAMED]), more,
        )  # fmt: skip


def announce(journal: Journal, plan: RunPlan, *, wanted: int, due: int, flush_every: int) -> None:
    """Write down in the journal what a run is to do, and remove the tallies of the run before.

    Shards may run by themselves, with ``--nodes``: the tally of one that did not must be missed.
    """
    refresh(journal.run_folder, "tally_")
    for path in journal.run_folder.glob("tally_*.json"):
        discard(path)
    journal.announce(
        {
            "started_at": plan.started_at,
            "wanted": wanted,
            "done_before": plan.done_before,
            "due": due,
            "fingerprint": plan.fingerprint,
            "scoring": plan.scoring,
            "flush_every": flush_every,
        }
    )


def refuse_foreign_rows(
    journal: Journal,
    progress: Progress,
    scoring: Mapping[str, Any],
    parameter: str,
    *,
    passed_over: Collection[str] = (),
) -> None:
    """Refuse a journal with foreign rows, which this run would not produce.

    Args:
        journal: The journal.
        progress: The state of its clips.
        scoring: Everything that determines this run's numbers.
        parameter: Name of the parameter that decides, such as ``extract.on_engine_change``.
        passed_over: Fingerprints that are not refused.

    Raises:
        InputError: There are foreign rows; the message says how they differ.
    """
    foreign = Counter(key for key in progress.foreign.values() if key not in passed_over)
    if not foreign:
        return
    scorings = journal.scorings()
    differences = "; ".join(
        f"{count} rows with {_difference(scorings[key], scoring)}" for key, count in foreign.items()
    )
    raise InputError(
        f"the journal in {journal.folder} has rows that this run would not produce: "
        f"{differences}. Choose with {parameter}=rescore (score those clips again) "
        "or =mix (keep both in one table), or give this run its own output and journal "
        "(--params out=…,journal=…)"
    )


def _difference(foreign: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    parts = [f"{k}={foreign.get(k)!r} (now {v!r})" for k, v in own.items() if foreign.get(k) != v]
    return ", ".join(parts)
