"""Which clips are due: wanted, less those that are done or were tried often enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from k150k_pipeline.journal.records import Entry, Failure


@dataclass
class Progress:
    """How far a journal has come under one fingerprint.

    Attributes:
        done: Clips with a usable entry.
        attempts: Failed attempts per clip.
        failures: Last failure per clip.
        foreign: Usable entries per fingerprint that is neither ours nor accepted.
        taken: Usable entries per fingerprint that are used.
        at_hand: Clips with an entry under any fingerprint.
    """

    done: set[str] = field(default_factory=set)
    attempts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, Failure] = field(default_factory=dict)
    foreign: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    at_hand: set[str] = field(default_factory=set)


def survey(entries: Iterable[Entry], fingerprint: str, accepted: Collection[str]) -> Progress:
    """Read a whole journal.

    Args:
        entries: Its entries.
        fingerprint: Fingerprint of the present run.
        accepted: Other fingerprints whose rows may be used beside it.
    """
    progress = Progress()
    for entry in entries:
        if entry.failure is not None:
            if entry.fingerprint == fingerprint:
                progress.attempts[entry.clip] += 1
                progress.failures[entry.clip] = entry.failure
            continue
        progress.at_hand.add(entry.clip)
        if entry.fingerprint != fingerprint and entry.fingerprint not in accepted:
            progress.foreign[entry.fingerprint] += 1
        elif entry.clip not in progress.done:
            progress.done.add(entry.clip)
            progress.taken[entry.fingerprint] += 1
    return progress


def due_clips(wanted: Sequence[str], progress: Progress, max_attempts: int) -> list[str]:
    """Return the clips still to be processed, in the order wanted."""
    return [
        clip
        for clip in wanted
        if clip not in progress.done and progress.attempts[clip] < max_attempts
    ]


def deal(clips: Sequence[str], shard: int, shards: int) -> list[str]:
    """Return one shard's hand when clips are dealt round-robin."""
    return list(clips[shard::shards])
