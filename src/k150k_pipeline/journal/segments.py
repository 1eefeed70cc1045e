"""Writer of a journal in a store: whole objects, each written once.

An object cannot be appended to. So finished clips are gathered in a file on this disk, a segment,
and put when there are so many of them, or the first of them is so old, as the settings say. A
writer that is killed leaves its last segment on the disk; the next run on this machine puts it.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

from k150k_pipeline.durable import describe, write_whole
from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal.records import Entry, decode_line, encode_entry
from k150k_pipeline.journal.writer import JournalWriter
from k150k_pipeline.storage import StoreError, make_folder, push, url_of
from k150k_pipeline.storage.scratch import is_dead, process_name
from k150k_pipeline.storage.settings import current

_UNSENT = "unsent"


class SegmentWriter(JournalWriter):
    """Puts finished clips of one shard, several at a time.

    Args:
        path: Path of the copy of the journal file that a local writer would write; segments have a
            number before its suffix.
        fingerprint: Fingerprint of the run.
        header: First line of each segment.
    """

    def __init__(self, path: Path, fingerprint: str, header: bytes) -> None:
        super().__init__(path, fingerprint, header)
        self._settings = current()
        self._one_step = threading.RLock()
        self._timer: threading.Timer | None = None
        self._clips = 0
        self._number = 0
        self._error: JournalError | None = None

    def __exit__(self, *error: object) -> None:
        with self._one_step:
            try:
                self._put()
            except JournalError:
                if error[0] is None:
                    raise

    def _append(self, entry: Entry) -> None:
        with self._one_step:
            self._raise_earlier()
            try:
                write_whole(self._open(), encode_entry(entry))
            except OSError as error:
                raise self._unwritable(describe(error)) from error
            self._clips += 1
            if self._clips >= self._settings.segment_clips:
                self._put()
            elif self._timer is None:
                self._timer = threading.Timer(self._settings.segment_s, self._put_late)
                self._timer.daemon = True
                self._timer.start()

    @property
    def _segment(self) -> Path:
        folder = self._path.parent / _UNSENT / process_name()
        return folder / f"{self._path.stem}.{self._number:05d}.jsonl"

    def _open(self) -> int:
        if self._descriptor is None:
            make_folder(self._segment.parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(self._segment, flags, 0o600)
            write_whole(self._descriptor, self._header)
        return self._descriptor

    def _put_late(self) -> None:
        """Put what is there, in the thread of the timer; the next clip meets the error."""
        with self._one_step:
            try:
                self._put()
            except JournalError as error:
                self._error = error

    def _put(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._descriptor is None:
            return
        started = time.perf_counter()
        try:
            send(self._segment, self._path.parent)
        except (StoreError, OSError) as error:
            raise self._unwritable(str(error)) from error
        os.close(self._descriptor)
        self._descriptor, self._clips, self._error = None, 0, None
        self._number += 1
        self.sync_seconds += time.perf_counter() - started
        self.syncs += 1

    def _raise_earlier(self) -> None:
        if self._error is not None:
            self._put()  # the store may be back

    def _unwritable(self, why: str) -> JournalError:
        return JournalError(
            f"the journal {url_of(self._path.parent)} cannot be written: {why}. The clips recorded "
            f"so far are kept, the last {self._clips} of this worker on the disk of this machine, "
            "from where the next run here puts them"
        )


def left(folder: Path) -> list[Path]:
    """Return the segments that dead processes of this machine have left."""
    return [
        path
        for process in sorted((folder / _UNSENT).glob("*"))
        if is_dead(process.name)
        for path in sorted(process.glob("shard-*.jsonl"))
    ]


def send(segment: Path, folder: Path) -> None:
    """Put a segment and move it to the copies of its journal; one without a clip is removed.

    Raises:
        StoreError: The store cannot be used.
        OSError: The disk refuses.
    """
    if segment.read_bytes().count(b"\n") > 1:
        put = _put_as(segment, folder)
        segment.replace(put)
    else:
        segment.unlink()
    with suppress(OSError):
        segment.parent.rmdir()


def _put_as(segment: Path, folder: Path) -> Path:
    """Put a segment under a name that is free, and return the path of its copy."""
    names = (f".{number}" if number else "" for number in count())
    for name in (f"{segment.stem}{end}.jsonl" for end in names):
        try:
            push(segment, folder / name, create=True)
        except FileExistsError:  # an earlier put, thought to have failed, had fewer lines
            continue
        return folder / name
    raise AssertionError


def is_of_run(path: Path, run: str) -> bool:
    """Return whether a segment was written in a run, by its header."""
    with path.open("rb") as file:
        decoded = decode_line(file.readline())
    writer = decoded[0].get("writer") if decoded else None
    return isinstance(writer, dict) and writer.get("run") == run
