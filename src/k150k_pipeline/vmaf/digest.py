"""Short digests that identify files in a fingerprint."""

from __future__ import annotations

import hashlib
from pathlib import Path

_DIGITS = 16


def file_digest(path: Path) -> str:
    """Return the first 16 hexadecimal digits of a file's SHA-256.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
