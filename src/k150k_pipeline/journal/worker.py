"""One shard's loop: process a clip, make its line durable, go on to the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from k150k_pipeline.errors import ClipError
from k150k_pipeline.journal.records import Failure, Payload
from k150k_pipeline.journal.writer import JournalWriter


class Tally(BaseModel):
    """What a shard did.

    Attributes:
        ok: Number of clips finished.
        failed: Number of clips failed.
        syncs: Number of fsyncs of its journal file.
        sync_seconds: Seconds that it waited for them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ok: int
    failed: int
    syncs: int
    sync_seconds: float


def work_through(
    clips: Iterable[str],
    process: Callable[[str], Payload],
    writer: JournalWriter,
    earlier_attempts: Mapping[str, int],
) -> Tally:
    """Process clips one by one; a clip that cannot be processed never stops the others.

    Args:
        clips: Names of the clips.
        process: Returns the payload of a clip or raises :class:`ClipError`.
        writer: Takes one line per clip.
        earlier_attempts: Failed attempts of earlier runs.

    Raises:
        JournalError: A line could not be written: going on would lose work.
        EngineError: No clip can be processed.
    """
    ok = failed = 0
    for clip in clips:
        attempt = earlier_attempts.get(clip, 0) + 1
        started = time.perf_counter()
        try:
            payload = process(clip)
        except ClipError as error:
            failure = Failure(error.stage, error.reason, error.detail)
            writer.failed(clip, attempt, time.perf_counter() - started, failure)
            failed += 1
        else:
            writer.ok(clip, attempt, time.perf_counter() - started, payload)
            ok += 1
    return Tally(ok=ok, failed=failed, syncs=writer.syncs, sync_seconds=writer.sync_seconds)
