"""Partial downloads: ``<name>.part`` beside the target, and a note by which they are resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from k150k_pipeline.download.failures import DownloadError, TransientError
from k150k_pipeline.durable import sync_folder
from k150k_pipeline.media.containers import HEAD_BYTES, examine, is_container
from k150k_pipeline.media.hashing import checksum_mismatch
from k150k_pipeline.storage import make_folder, push

PART = ".part"
NOTE = ".part.json"

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SAFE_AGE_S = 60


class Partial:
    """The partial file of a clip.

    Args:
        target: Path of the clip once it is whole.
        url: Address of the clip, as in the manifest.
    """

    def __init__(self, target: Path, url: str) -> None:
        self.target = target
        self.path = target.with_name(target.name + PART)
        self._note = target.with_name(target.name + NOTE)
        self._url = url

    @property
    def size(self) -> int:
        """Bytes received so far."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def resume_headers(self) -> dict[str, str]:
        """Return the headers that request the missing bytes.

        If resuming is unsafe, the part is removed and the headers are empty. It is safe when the
        part is from the same URL, with a strong validator, and the machine has not been restarted
        since: a crash may have left holes in the file.
        """
        validator = self.validator()
        if not self.size or validator is None:
            self.discard()
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": validator}

    def validator(self) -> str | None:
        """Return the ETag or date of the version that the part is of; None if there is none."""
        try:
            note = json.loads(self._note.read_text("utf-8"))
            if note["url"] != self._url or note.get("boot", _boot_id()) != _boot_id():
                return None
            validator = note.get("etag") or note.get("last_modified")
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return validator if isinstance(validator, str) else None

    def begin(self, headers: Mapping[str, str]) -> None:
        """Begin an empty part for an answer with these headers."""
        self.discard()
        make_folder(self.target.parent)
        self.path.touch()
        note = _validators(headers)
        if note and not headers.get("Content-Encoding"):
            document = {"url": self._url, **note, "boot": _boot_id()}
            self._note.write_text(json.dumps(document), "utf-8")

    def discard(self) -> None:
        """Remove the part and its note."""
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def complete(self, content_type: str, checksum: str | None) -> None:
        """Check the part, make it durable and rename it to its target, or put it into its store.

        Raises:
            DownloadError: Reason ``not_video``: it is not a container that clips come in.
            TransientError: Reasons ``truncated``, ``wrong_checksum`` and ``incomplete``.
            OSError: It cannot be written.
        """
        _check_kind(self.path, content_type)
        _check_whole(self.path)
        _check_sum(self.path, checksum)
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        push(self.path, self.target)
        self.path.replace(self.target)
        sync_folder(self.target.parent)
        self._note.unlink(missing_ok=True)


def remove_parts(folder: Path, names: Collection[str]) -> None:
    """Remove the parts of these clips from a folder; other files may be the user's."""
    for ending in (PART, NOTE):
        for path in folder.glob(f"*{ending}"):
            if path.name.removesuffix(ending) in names:
                path.unlink(missing_ok=True)


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


def _validators(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return a strong ETag, or a Last-Modified that is old enough (RFC 9110, 8.8.2.2)."""
    etag = headers.get("ETag", "")
    if etag.startswith('"'):
        return {"etag": etag}
    try:
        modified, now = (parsedate_to_datetime(headers[k]) for k in ("Last-Modified", "Date"))
        if (now - modified).total_seconds() >= _SAFE_AGE_S:
            return {"last_modified": headers["Last-Modified"]}
    except (KeyError, TypeError, ValueError):
        pass
    return {}


def _check_kind(path: Path, content_type: str) -> None:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise TransientError("incomplete", f"{path.name}: the answer was empty")
    if not is_container(head):
        raise DownloadError(
            "not_video",
            f"{path.name}: something else came instead of a clip ({content_type}: {head[:40]!r})",
        )


def _check_whole(path: Path) -> None:
    if missing := examine(path).missing:
        raise TransientError("truncated", f"{path.name}: {missing}")


def _check_sum(path: Path, checksum: str | None) -> None:
    if checksum and (mismatch := checksum_mismatch(path, checksum)):
        raise TransientError("wrong_checksum", mismatch)
