"""Clips of a manifest: several at a time are downloaded and probed; each ends in the journal."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from pathlib import Path

from k150k_pipeline.cores import usable_cores
from k150k_pipeline.download import Downloader, DownloadState, NetworkWatch, for_each
from k150k_pipeline.download.partial import remove_parts
from k150k_pipeline.errors import ClipError, InputError
from k150k_pipeline.isolation import HelperPool
from k150k_pipeline.journal import Payload
from k150k_pipeline.journal.worker import ShardJournal, Tally, try_again_when_killed
from k150k_pipeline.media.identity import FileIdentity
from k150k_pipeline.pipelines.ingest.plan import DropLabels
from k150k_pipeline.pipelines.ingest.probing import probe_clip
from k150k_pipeline.schemas.ingest import IngestParameters
from k150k_pipeline.storage import place, url_of

logger = logging.getLogger(__name__)


def fetch_all(
    names: list[str],
    labels: DropLabels,
    state: DownloadState,
    lines: ShardJournal,
    ingest: IngestParameters,
) -> Tally:
    """Download and probe clips; each ends as one journal line, which some may have already.

    Returns:
        Counts of sound and failed clips.

    Raises:
        InputError: A clip cannot be written, or no server answers any more.
        JournalError: A line could not be written.
    """
    due = [name for name in names if name not in lines.earlier]
    with HelperPool(usable_cores(), ingest.memory_limit_mb) as helpers:
        fetcher = _Fetcher(labels, state, lines, helpers, ingest)
        try:
            asyncio.run(fetcher.fetch(due))
        finally:
            state.flush()
    for index, folder in enumerate(labels.folders):
        downloaded = {n for n, label in labels.rows.items() if label.url and label.folder == index}
        remove_parts(place(folder), downloaded)
    return lines.tally()


class _Fetcher:
    def __init__(
        self,
        labels: DropLabels,
        state: DownloadState,
        lines: ShardJournal,
        helpers: HelperPool,
        ingest: IngestParameters,
    ) -> None:
        self._labels, self._state, self._lines = labels, state, lines
        self._helpers, self._ingest = helpers, ingest
        self._watch = NetworkWatch(ingest.download.unreachable_limit, self._give_up)
        self._one_line = threading.Lock()

    async def fetch(self, names: list[str]) -> None:
        async with Downloader(self._ingest.download) as self._downloader:
            await for_each(names, self._handle, self._ingest.download.concurrency)
        for name, error in self._watch.held.items():
            # No server has answered since, so the next run tries these clips again.
            self._fail(name, error, 0.0)

    async def _handle(self, name: str) -> None:
        label = self._labels.rows[name]
        path = place(self._labels.folders[label.folder]) / name
        started = time.perf_counter()
        try:
            await self._downloader.fetch(label.url, path, label.checksum or None)
        except ClipError as error:
            _refuse_full_disk(error)
            self._watch.failed(name, error)
            return
        self._watch.answered()
        self._state.done(name)
        await self._probe(name, path, started, FileIdentity.unread(path))
        if url_of(path) is not None:
            path.unlink(missing_ok=True)

    async def _probe(
        self, name: str, path: Path, started: float, file: FileIdentity | None
    ) -> None:
        try:
            facts = await asyncio.to_thread(try_again_when_killed, lambda _: self._look(path), name)
        except ClipError as error:
            self._fail(name, error, time.perf_counter() - started, file)
            return
        seconds = time.perf_counter() - started
        await asyncio.to_thread(self._succeed, name, seconds, facts, file)

    def _look(self, path: Path) -> Payload:
        return probe_clip(self._helpers, path, self._ingest).as_payload()

    def _succeed(
        self, name: str, seconds: float, facts: Payload, file: FileIdentity | None
    ) -> None:
        with self._one_line:
            self._lines.ok(name, 1, seconds, facts, file)

    def _give_up(self, name: str, error: ClipError) -> None:
        self._state.failed(name, f"{error.reason}: {error.detail}")
        self._fail(name, error, 0.0)

    def _fail(
        self, name: str, error: ClipError, seconds: float, file: FileIdentity | None = None
    ) -> None:
        if error.stage == "download":
            logger.warning("%s: %s", name, error)
        with self._one_line:
            self._lines.failed(name, 1, seconds, error, file)


def _refuse_full_disk(error: ClipError) -> None:
    if error.reason == "disk":
        raise InputError(
            f"a clip cannot be written: {error.detail}. The clips before it are kept: make room "
            "on the disk, then run the same command again"
        ) from error
