"""Writer of a journal: each line is on the disk before the next clip starts."""

from __future__ import annotations

import os
import time
from pathlib import Path

from k150k_pipeline.durable import describe, sync_folder, write_whole
from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal.records import Entry, Failure, Payload, encode_entry, encode_payload
from k150k_pipeline.media.identity import FileIdentity


class JournalWriter:
    """Appends finished clips of one shard; each is on the disk before the call returns."""

    def __init__(self, path: Path, fingerprint: str, header: bytes) -> None:
        self._path = path
        self._fingerprint = fingerprint
        self._header = header
        self._descriptor: int | None = None
        self.sync_seconds = 0.0
        self.syncs = 0

    @property
    def name(self) -> str:
        """Name of the file."""
        return self._path.name

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
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
            self._sync(descriptor)
        except OSError as error:
            raise JournalError(
                f"the journal {self._path} cannot be written: {describe(error)}. The clips "
                "recorded so far are kept"
            ) from error

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
        self.sync_seconds += time.perf_counter() - started
        self.syncs += 1
