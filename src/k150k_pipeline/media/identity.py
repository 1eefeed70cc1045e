"""Which bytes a clip has: a replaced clip is recognised by size and time, then by its hash."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media.containers import require_file


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """A file at one moment.

    Attributes:
        size: Bytes of the file.
        mtime_ns: When the file last changed, in nanoseconds since the epoch. Of a clip in a store
            the seconds are that; the digits below a second are made of its entity tag.
        sha256: SHA-256 of its bytes, in hexadecimal digits; empty if they were not read.
    """

    size: int
    mtime_ns: int
    sha256: str

    def is_version(self, other: FileIdentity) -> bool:
        """Return whether a file has this size and this time of change."""
        return (self.size, self.mtime_ns) == (other.size, other.mtime_ns)

    @classmethod
    def unread(cls, path: Path) -> Self | None:
        """Return the identity of a file without reading its bytes; None if it is not there."""
        try:
            status = path.stat()
        except OSError:
            return None
        return cls(status.st_size, status.st_mtime_ns, "")

    def as_dict(self) -> dict[str, int | str]:
        """Return the fields as a plain mapping."""
        return asdict(self)

    @classmethod
    def parse(cls, fields: object) -> Self | None:
        """Return the identity in a document; None if it has none."""
        match fields:
            case {"size": int(size), "mtime_ns": int(mtime_ns), "sha256": str(sha256)}:
                return cls(size, mtime_ns, sha256)
        return None


def identify(path: Path) -> FileIdentity:
    """Hash a clip.

    Raises:
        ClipError: Stage ``probe``; reasons ``missing``, ``not_a_file``, ``unreadable``.
    """
    try:
        require_file(path)
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise ClipError("probe", "missing", f"{path} does not exist") from error
    except OSError as error:
        raise ClipError("probe", "unreadable", f"{path}: {error.strerror}") from error
    return FileIdentity(status.st_size, status.st_mtime_ns, digest)
