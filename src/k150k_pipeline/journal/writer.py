"""Writer of a journal: a finished clip is on the disk before the next one starts.

Only clips that take less time than the disk share an fsync, so that a shard does not wait longer
than it works (docs/decisions/0057-shared-fsyncs.md).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from k150k_pipeline.durable import describe, sync_folder, write_whole
from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal.records import Entry, Failure, Payload, encode_entry, encode_payload
from k150k_pipeline.media.identity import FileIdentity

_MOST_AT_RISK = 0.1
"""Seconds of work that a loss of power may cost a shard, however slow its disk is."""


class JournalWriter:
    """Appends finished clips of one shard.

    A line is the kernel's when the call returns, so the death of the process costs nothing. It is
    on the disk too, unless less time has passed since the last fsync than an fsync takes: then it
    waits for the next line or the end of the shard.

    Attributes:
        syncs: Number of fsyncs.
        sync_seconds: Seconds that they took.
    """

    def __init__(self, path: Path, fingerprint: str, header: bytes) -> None:
        self._path = path
        self._fingerprint = fingerprint
        self._header = header
        self._descriptor: int | None = None
        self._unsynced = False
        self._synced_at = 0.0
        self.sync_seconds = 0.0
        self.syncs = 0

    @property
    def name(self) -> str:
        """Name of the file."""
        return self._path.name

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if self._descriptor is None:
            return
        try:
            if self._unsynced:
                self._sync(self._descriptor)
        except OSError as problem:
            if error[0] is None:
                raise self._refusal(problem) from problem
        finally:
            os.close(self._descriptor)
            self._descriptor = None

    def ok(
        self,
        clip: str,
        attempt: int,
        seconds: float,
        payload: Payload,
        file: FileIdentity | None = None,
    ) -> None:
        """Record a clip that was processed, and the file that it was.

        Raises:
            JournalError: The line could not be made durable (disk full, quota, I/O error).
        """
        now, sealed = time.time(), encode_payload(payload)
        self._append(Entry(clip, self._fingerprint, attempt, now, seconds, sealed, None, file))

    def failed(
        self,
        clip: str,
        attempt: int,
        seconds: float,
        failure: Failure,
        file: FileIdentity | None = None,
    ) -> None:
        """Record a clip that could not be processed; raises as :meth:`ok` does."""
        now = time.time()
        self._append(Entry(clip, self._fingerprint, attempt, now, seconds, None, failure, file))

    def _append(self, entry: Entry) -> None:
        try:
            descriptor = self._open()
            write_whole(descriptor, encode_entry(entry))
            self._unsynced = True
            if self._is_worth_a_sync():
                self._sync(descriptor)
        except OSError as error:
            raise self._refusal(error) from error

    def _is_worth_a_sync(self) -> bool:
        """Return whether the work since the last fsync is worth the time of another one."""
        usual = self.sync_seconds / max(1, self.syncs)
        return time.perf_counter() - self._synced_at >= min(usual, _MOST_AT_RISK)

    def _refusal(self, error: OSError) -> JournalError:
        return JournalError(
            f"the journal {self._path} cannot be written: {describe(error)}. The clips recorded "
            "so far are kept"
        )

    def _open(self) -> int:
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            self._descriptor = os.open(self._path, flags, 0o644)
            write_whole(self._descriptor, self._header)
            sync_folder(self._path.parent)
        return self._descriptor

    def _sync(self, descriptor: int) -> None:
        started = time.perf_counter()
        os.fsync(descriptor)
        self._unsynced, self._synced_at = False, time.perf_counter()
        self.sync_seconds += self._synced_at - started
        self.syncs += 1
