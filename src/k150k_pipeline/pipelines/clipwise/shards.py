"""The division of clips into shards, and the sum of the shards' tallies."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

from k150k_pipeline.errors import EngineError
from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.worker import ShardJournal, Tally
from k150k_pipeline.pipelines.clipwise.plan import RunPlan


def deal(clips: Sequence[str], shard: int, shards: int) -> list[str]:
    """Return the clips of one shard; clips are dealt to the shards in turn."""
    return list(clips[shard::shards])


def shard_journal(journal: Journal, plan: RunPlan, shard: int) -> ShardJournal:
    """Return the journal of one shard of a run."""
    return ShardJournal(journal, shard, plan.fingerprint, plan.scoring, str(plan.started_at))


def refuse_other_scoring(plan: RunPlan, here: Mapping[str, str | int]) -> None:
    """Refuse to score where the numbers would not be those of the plan's fingerprint.

    A run is planned once, and its shards may run on other machines.

    Args:
        plan: Plan of the run.
        here: Everything that determines the numbers of this machine.

    Raises:
        EngineError: It differs from the plan; the message names machine and differences.
    """
    differences = [
        f"{name}={here.get(name)!r} (planned {value!r})"
        for name, value in plan.scoring.items()
        if here.get(name) != value
    ]
    if differences:
        raise EngineError(
            f"host {socket.gethostname()} does not score as the run was planned: "
            f"{', '.join(differences)}. Give it the packages and programs of the host that plans"
        )


def add_up(*tallies: Tally) -> Tally:
    """Return the sum of the tallies of shards."""
    return Tally(
        ok=sum(tally.ok for tally in tallies),
        failed=sum(tally.failed for tally in tallies),
        killed=sum(tally.killed for tally in tallies),
        syncs=sum(tally.syncs for tally in tallies),
        sync_seconds=sum(tally.sync_seconds for tally in tallies),
    )
