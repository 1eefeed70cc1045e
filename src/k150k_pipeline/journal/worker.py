"""One shard's loop: process a clip, make its line durable, go on to the next."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from k150k_pipeline.errors import KILLED, ClipError
from k150k_pipeline.isolation.deaths import LOST, end_of_predecessor
from k150k_pipeline.journal.handle import Journal
from k150k_pipeline.journal.marks import StartMark
from k150k_pipeline.journal.records import Failure, Payload
from k150k_pipeline.media.identity import FileIdentity
from k150k_pipeline.storage import in_words

logger = logging.getLogger(__name__)

T = TypeVar("T")

_TRIES = 3
"""Tries of one clip in one run when its process is killed from outside, or is lost."""


class Tally(BaseModel):
    """What a shard did.

    Attributes:
        ok: Number of clips finished.
        failed: Number of clips failed.
        killed: Number of those that failed because their process was killed from outside.
        syncs: Number of fsyncs of its journal file.
        sync_seconds: Seconds that it waited for them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ok: int
    failed: int
    killed: int = 0
    syncs: int
    sync_seconds: float


class ShardJournal:
    """The journal of one shard in one run, which may take more than one process.

    When the process that worked on a shard dies, another one goes on with it. Then the clips that
    have a line already are counted and not done again. The clip that the dead process was at has
    failed, unless nobody saw how the process ended: then it is tried again.

    Args:
        journal: The journal.
        shard: Number of the shard.
        fingerprint: Fingerprint of the run.
        scoring: What it stands for.
        run: Name of the run.

    Attributes:
        earlier: Lines that dead processes have left of this run, by clip.
    """

    def __init__(
        self, journal: Journal, shard: int, fingerprint: str, scoring: Mapping[str, Any], run: str
    ) -> None:
        self._writer = journal.writer(shard, fingerprint, scoring, run)
        self._mark = StartMark(journal.run_folder / f"started_{shard:04d}.json", run)
        own = journal.entries_of(shard, run, self._mark.files)
        self.earlier = {entry.clip: entry for entry in own}
        self._seen: list[Failure | None] = [entry.failure for entry in self.earlier.values()]
        self._mark.open(self._writer.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._writer.__exit__(*error)
        finally:
            self._mark.close()

    @property
    def interrupted(self) -> str:
        """The clip that a dead process was at and that has no line; empty where there is none."""
        return "" if self._mark.clip in self.earlier else self._mark.clip

    def blame(self) -> ClipError | None:
        """Return the failure of the clip that was interrupted; None where it is tried again."""
        reason, detail = end_of_predecessor()
        if reason != LOST:
            return ClipError("worker", reason, detail)
        if self._mark.losses < _TRIES:
            return None
        return ClipError("worker", KILLED, f"{detail}, {self._mark.losses} times")

    def to_do(self, clips: Iterable[str]) -> list[str]:
        """Return those of a shard's clips that are still to be opened."""
        return [clip for clip in clips if clip not in self.earlier and clip != self.interrupted]

    def begin(self, clip: str) -> None:
        """Note that a clip is begun; raises as :class:`StartMark` does."""
        self._mark.begin(clip)

    def ok(
        self,
        clip: str,
        attempt: int,
        seconds: float,
        payload: Payload,
        file: FileIdentity | None = None,
    ) -> None:
        """Record a clip that was processed; see :class:`JournalWriter`."""
        self._writer.ok(clip, attempt, seconds, payload, file)
        self._seen.append(None)

    def failed(
        self,
        clip: str,
        attempt: int,
        seconds: float,
        error: ClipError,
        file: FileIdentity | None = None,
    ) -> None:
        """Record a clip that could not be processed; see :class:`JournalWriter`."""
        failure = Failure(error.stage, error.reason, in_words(error.detail))
        self._writer.failed(clip, attempt, seconds, failure, file)
        self._seen.append(failure)

    def tally(self) -> Tally:
        """Return what was done to the shard in this run, by all its processes.

        A dead process is taken to have synced each of its lines, in no time.
        """
        failures = [failure for failure in self._seen if failure is not None]
        return Tally(
            ok=len(self._seen) - len(failures),
            failed=len(failures),
            killed=sum(failure.reason == KILLED for failure in failures),
            syncs=self._writer.syncs + len(self.earlier),
            sync_seconds=self._writer.sync_seconds,
        )


def work_through(
    clips: Iterable[str],
    process: Callable[[str], Payload],
    shard: ShardJournal,
    earlier_attempts: Mapping[str, int],
    identify: Callable[[str], FileIdentity | None] = lambda _: None,
) -> Tally:
    """Process clips one by one; a clip that cannot be processed never stops the others.

    Args:
        clips: Names of the clips.
        process: Returns the payload of a clip or raises :class:`ClipError`.
        shard: Takes one line per clip.
        earlier_attempts: Failed attempts of earlier runs.
        identify: Returns what is recorded of a clip's file, before it is processed.

    Raises:
        JournalError: A line could not be written: going on would lose work.
        EngineError: No clip can be processed.
    """
    for clip in clips:
        if clip in shard.earlier:
            continue
        attempt = earlier_attempts.get(clip, 0) + 1
        if clip == shard.interrupted and (blame := shard.blame()):
            shard.failed(clip, attempt, 0.0, blame)
            continue
        shard.begin(clip)
        started = time.perf_counter()
        file, result = _work_on(clip, process, identify)
        seconds = time.perf_counter() - started
        if isinstance(result, ClipError):
            shard.failed(clip, attempt, seconds, result, file)
        else:
            shard.ok(clip, attempt, seconds, result, file)
    return shard.tally()


def _work_on(
    clip: str,
    process: Callable[[str], Payload],
    identify: Callable[[str], FileIdentity | None],
) -> tuple[FileIdentity | None, Payload | ClipError]:
    """Return the file of a clip, and its payload or why it has none."""
    file: FileIdentity | None = None

    def identify_and_process(name: str) -> Payload:
        nonlocal file
        file = identify(name)
        return process(name)

    try:
        payload = try_again_when_killed(identify_and_process, clip)
    except ClipError as error:
        return file, error
    return file, payload


def try_again_when_killed(process: Callable[[str], T], clip: str) -> T:
    """Process a clip, and once more when somebody kills its process; that is not its fault.

    Raises:
        ClipError: It cannot be processed; reason ``killed`` when that happened every time.
    """
    for _ in range(_TRIES - 1):
        try:
            return process(clip)
        except ClipError as error:
            if error.reason != KILLED:
                raise
            logger.warning("%s is tried again: %s", clip, error)
    return process(clip)
