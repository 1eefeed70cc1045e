"""The division of clips into shards, and the sum of the shards' tallies."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import overload

import pyarrow as pa

from k150k_pipeline.errors import EngineError, InputError
from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.worker import ShardJournal, Tally
from k150k_pipeline.pipelines.clipwise.plan import RunPlan


def deal(clips: Sequence[str], shard: int, shards: int) -> list[str]:
    """Return the clips of one shard; clips are dealt to the shards in turn."""
    return list(clips[shard::shards])


def make_shares(clips: Sequence[str], attempts: Mapping[str, int], shards: int) -> list[pa.Table]:
    """Return the clips of each shard, with the failed attempts of earlier runs."""
    dealt = (deal(clips, shard, shards) for shard in range(shards))
    return [
        pa.table({
            "clip_name": pa.array(names, pa.string()),
            "attempts": pa.array([attempts.get(name, 0) for name in names], pa.int32()),
        })
        for names in dealt
    ]  # fmt: skip


def read_share(
    shares: Sequence[pa.Table], shard: int, shards: int
) -> tuple[list[str], dict[str, int]]:
    """Return the clips of one shard, and the failed attempts of earlier runs.

    Raises:
        InputError: The clips were dealt to another number of shards.
    """
    if len(shares) != shards:
        raise InputError(
            f"the plan was made for {len(shares)} shards, and this run has {shards}: run the whole "
            f"pipeline, or give the earlier number of shards"
        )
    share = shares[shard]
    names: list[str] = share["clip_name"].to_pylist()
    attempts = zip(names, share["attempts"].to_pylist(), strict=True)
    return names, {name: number for name, number in attempts if number}


class DealtClips(Sequence[str]):
    """The clips of all shards in the order before they were dealt; each is read when asked for."""

    def __init__(self, shares: Sequence[pa.Table], clips: int) -> None:
        self._shares = shares
        self._clips = clips

    def __len__(self) -> int:
        return self._clips

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place, shard = divmod(range(len(self))[index], len(self._shares))
        name: str = self._shares[shard]["clip_name"][place].as_py()
        return name


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
