"""Which clips are due: those wanted that are not done and have attempts left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from k150k_pipeline.errors import CHANGED, KILLED, UNFETCHED
from k150k_pipeline.journal.precedence import ended_later
from k150k_pipeline.journal.records import Entry, Failure

MOST_KILLS = 5
"""After so many runs that ended with its process killed a clip is given up: it may be the cause."""

_BLAMELESS = (KILLED, UNFETCHED, CHANGED)


@dataclass
class Attempts:
    """The failed attempts of clips in a journal; clips that never failed take no memory.

    Attributes:
        fingerprint: Fingerprint of the run; failures under others are not counted.
        attempts: Failed attempts per clip; those whose process was killed, whose store did not
            give the clip, or that found another file, are not among them.
        kills: Attempts per clip whose process was killed from outside.
        failures: Last failure per clip.
    """

    fingerprint: str
    attempts: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    failures: dict[str, Failure] = field(default_factory=dict)
    _last: dict[str, Entry] = field(default_factory=dict)
    _files: dict[str, dict[tuple[str, float], set[str | None]]] = field(default_factory=dict)

    def note(self, entry: Entry) -> None:
        """Count an entry, if it is a failure under this fingerprint."""
        failure, ours = entry.failure, entry.fingerprint == self.fingerprint
        if failure is None or not ours:
            return
        # A copy of the file has the same attempts, and so has a process that was taken for dead
        # and finished its shard all the same.
        blameless = failure.reason in _BLAMELESS
        attempt = (failure.reason, entry.at) if blameless else ("", entry.attempt)
        files = self._files.setdefault(entry.clip, {}).setdefault(attempt, set())
        if not files:
            self._count(entry.clip, failure.reason, 1)
        files.add(entry.file.sha256 if entry.file else None)
        if ended_later(entry, self._last.get(entry.clip)):
            self.failures[entry.clip] = failure
            self._last[entry.clip] = entry

    def forget(self, clip: str, digests: Collection[str]) -> bool:
        """Take back the attempts on files that a clip no longer is; return whether there are any.

        Args:
            clip: Name of the clip.
            digests: SHA-256 of these files.
        """
        attempts = self._files.get(clip, {})
        gone = [attempt for attempt, files in attempts.items() if files <= set(digests)]
        for attempt in gone:
            del attempts[attempt]
            self._count(clip, attempt[0], -1)
        return bool(gone)

    def _count(self, clip: str, reason: str, number: int) -> None:
        """Count failed attempts, if they are ones of the clip."""
        if reason == KILLED:
            self.kills[clip] += number
        elif reason not in _BLAMELESS:
            self.attempts[clip] += number

    def given_up(self, clip: str, max_attempts: int) -> bool:
        """Tell whether a clip has failed, or was killed, too often to be tried again."""
        return self.attempts[clip] >= max_attempts or self.kills[clip] >= MOST_KILLS


@dataclass
class Progress(Attempts):
    """The state of all clips in a journal, for a run with one fingerprint.

    Attributes:
        done: Clips with a usable entry.
        foreign: Clips whose only rows have a fingerprint that is neither the run's nor accepted,
            with that fingerprint.
    """

    done: set[str] = field(default_factory=set)
    foreign: dict[str, str] = field(default_factory=dict)

    def has_row(self, clip: str) -> bool:
        """Return whether a clip has a row under any fingerprint."""
        return clip in self.done or clip in self.foreign


def survey(entries: Iterable[Entry], fingerprint: str, accepted: Collection[str]) -> Progress:
    """Read a whole journal.

    Args:
        entries: Its entries.
        fingerprint: Fingerprint of the present run.
        accepted: Other fingerprints whose rows may be used too.
    """
    progress = Progress(fingerprint)
    for entry in entries:
        if entry.failure is not None:
            progress.note(entry)
        elif entry.fingerprint != fingerprint and entry.fingerprint not in accepted:
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
