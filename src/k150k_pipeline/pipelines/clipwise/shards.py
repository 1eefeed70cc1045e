"""The division of clips into shards, and the sum of the shards' tallies."""

from __future__ import annotations

from collections.abc import Sequence

from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.worker import ShardJournal, Tally
from k150k_pipeline.pipelines.clipwise.plan import RunPlan


def deal(clips: Sequence[str], shard: int, shards: int) -> list[str]:
    """Return the clips of one shard; clips are dealt to the shards in turn."""
    return list(clips[shard::shards])


def shard_journal(journal: Journal, plan: RunPlan, shard: int) -> ShardJournal:
    """Return the journal of one shard of a run."""
    return ShardJournal(journal, shard, plan.fingerprint, plan.scoring, str(plan.started_at))


def add_up(*tallies: Tally) -> Tally:
    """Return the sum of the tallies of shards."""
    return Tally(
        ok=sum(tally.ok for tally in tallies),
        failed=sum(tally.failed for tally in tallies),
        killed=sum(tally.killed for tally in tallies),
        syncs=sum(tally.syncs for tally in tallies),
        sync_seconds=sum(tally.sync_seconds for tally in tallies),
    )
