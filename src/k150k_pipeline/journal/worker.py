"""One shard's loop: process a clip, make its line durable, go on to the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from k150k_pipeline.errors import ClipError
from k150k_pipeline.journal.records import Failure
from k150k_pipeline.journal.writer import JournalWriter


@dataclass(frozen=True)
class Tally:
    """What a shard did: clips finished, clips failed, and its fsyncs counted apart."""

    ok: int
    failed: int
    syncs: int
    sync_seconds: float


def work_through(
    clips: Iterable[str],
    process: Callable[[str], dict[str, Any]],
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
    return Tally(ok, failed, writer.syncs, writer.sync_seconds)
