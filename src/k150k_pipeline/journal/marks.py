"""Which clip a shard has begun, kept where the death of its process cannot take it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k150k_pipeline.durable import describe, write_text, write_whole
from k150k_pipeline.errors import JournalError
from k150k_pipeline.storage import make_folder


@dataclass(frozen=True)
class Begun:
    """A clip that a shard has begun.

    Attributes:
        clip: Name of the clip.
        file: Name of the journal file that gets its line.
        at: When it was begun, in seconds since the epoch.
    """

    clip: str
    file: str
    at: float


class StartMark:
    """One line in a file: the clip that a shard works on, and the journal files it has written.

    What a process has written is the kernel's when the process dies, so nothing is synced. After
    a crash of the machine a mark may be lost or stale; the next run has another name, and a mark
    of another run means nothing.

    Args:
        path: The file.
        run: Name of the run.

    Attributes:
        clip: The clip that an earlier process of this shard was at in this run when it died;
            empty where it was at none.
        files: Names of the journal files of such processes.
        losses: How many processes of this run have ended at that clip, one after the other.
    """

    def __init__(self, path: Path, run: str) -> None:
        self._path = path
        self._run = run
        self._descriptor: int | None = None
        mark = _read(path)
        ours = mark.get("run") == run
        self.clip: str = mark["clip"] if ours else ""
        self.files: list[str] = mark["files"] if ours else []
        self.losses: int = mark.get("losses", 0) + 1 if self.clip else 0

    def open(self, file: str) -> None:
        """Begin with the shard.

        Args:
            file: Name of the journal file that this process writes.

        Raises:
            JournalError: The mark cannot be written.
        """
        self._files: Sequence[str] = (*self.files, file)
        self.begin("")

    def begin(self, clip: str) -> None:
        """Begin with a clip, which ends the one before; raises as :meth:`open` does."""
        line = self._line(clip)
        try:
            if self._descriptor is None:
                self._descriptor = self._own_file(line)
            # One write, shorter than a page: a kill leaves the old line or the new one. What
            # remains of a longer line before it stands behind the end of this one.
            write_whole(self._descriptor, line.encode(), at=0)
        except OSError as error:
            raise JournalError(
                f"{self._path} cannot be written: {describe(error)}. The clips recorded so far are "
                "kept"
            ) from error

    def _line(self, clip: str) -> str:
        fields: dict[str, Any] = {"run": self._run, "clip": clip, "files": self._files}
        if clip and clip == self.clip:
            fields["losses"] = self.losses
        return json.dumps(fields, ensure_ascii=False) + "\n"

    def _own_file(self, line: str) -> int:
        make_folder(self._path.parent)
        if self.files:
            # A process that was taken for dead may live on where nobody sees it. What it writes
            # goes into the file that this one takes the place of.
            write_text(self._path, line)
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def close(self) -> None:
        """Leave the mark as it is."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def read_begun(folder: Path, run: str) -> list[Begun]:
    """Return the last clip that each shard of a run has begun, finished or not.

    Marks that cannot be read, and those of other runs, are passed over.

    Args:
        folder: Folder of the marks.
        run: Name of the run.
    """
    found = (_read_begun(path, run) for path in sorted(folder.glob("started_*.json")))
    return [begun for begun in found if begun is not None]


def _read_begun(path: Path, run: str) -> Begun | None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
            return None
        mark = _read(path)
    except OSError:  # it is gone
        return None
    clip, files = mark.get("clip"), mark.get("files")
    if not (isinstance(clip, str) and isinstance(files, list) and clip and files):
        return None
    if mark["run"] != run:
        return None
    return Begun(clip, str(files[-1]), status.st_mtime)


def _read(path: Path) -> dict[str, Any]:
    """Return what a mark says; nothing where there is none, or none that can be read."""
    try:
        mark = json.loads(path.read_bytes().partition(b"\n")[0])
    except (OSError, ValueError):
        return {}
    whole = isinstance(mark, dict) and {"run", "clip", "files"} <= mark.keys()
    return mark if whole and isinstance(mark.get("losses", 0), int) else {}
