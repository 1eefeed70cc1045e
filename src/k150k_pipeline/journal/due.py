"""Which clips are due: those wanted that are not done and have attempts left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from k150k_pipeline.errors import KILLED, UNFETCHED
from k150k_pipeline.journal.precedence import ended_later
from k150k_pipeline.journal.records import Entry, Failure

MOST_KILLS = 5
"""After so many runs that ended with its process killed a clip is given up: it may be the cause."""


@dataclass
class Progress:
    """The state of all clips in a journal, for a run with one fingerprint.

    Attributes:
        done: Clips with a usable entry.
        attempts: Failed attempts per clip; those whose process was killed, or whose store did not
            give the clip, are not among them.
        kills: Attempts per clip whose process was killed from outside.
        failures: Last failure per clip.
        foreign: Clips whose only rows have a fingerprint that is neither the run's nor accepted,
            with that fingerprint.
        any_row: Clips with a row under any fingerprint.
    """

    done: set[str] = field(default_factory=set)
    attempts: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    failures: dict[str, Failure] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)
    any_row: set[str] = field(default_factory=set)

    def count(self, clip: str, failure: Failure) -> None:
        """Count a failed attempt, if it is one of the clip."""
        if failure.reason == KILLED:
            self.kills[clip] += 1
        elif failure.reason != UNFETCHED:
            self.attempts[clip] += 1

    def given_up(self, clip: str, max_attempts: int) -> bool:
        """Tell whether a clip has failed, or was killed, too often to be tried again."""
        return self.attempts[clip] >= max_attempts or self.kills[clip] >= MOST_KILLS


def survey(entries: Iterable[Entry], fingerprint: str, accepted: Collection[str]) -> Progress:
    """Read a whole journal.

    Args:
        entries: Its entries.
        fingerprint: Fingerprint of the present run.
        accepted: Other fingerprints whose rows may be used too.
    """
    progress = Progress()
    last: dict[str, Entry] = {}
    failed: set[tuple[str, float]] = set()
    for entry in entries:
        if entry.failure is not None:
            attempt = entry.clip, entry.at
            if entry.fingerprint == fingerprint and attempt not in failed:
                failed.add(attempt)  # in a copy of the file it is the same attempt
                progress.count(entry.clip, entry.failure)
                if ended_later(entry, last.get(entry.clip)):
                    progress.failures[entry.clip] = entry.failure
                    last[entry.clip] = entry
            continue
        progress.any_row.add(entry.clip)
        if entry.fingerprint != fingerprint and entry.fingerprint not in accepted:
            progress.foreign[entry.clip] = entry.fingerprint
        else:
            progress.done.add(entry.clip)
    for clip in progress.foreign.keys() & progress.done:
        del progress.foreign[clip]
    return progress


def due_clips(wanted: Sequence[str], progress: Progress, max_attempts: int) -> list[str]:
    """Return the clips still to be processed, in the order wanted."""
    return [
        clip
        for clip in wanted
        if clip not in progress.done and not progress.given_up(clip, max_attempts)
    ]
