"""Digests of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

_CHUNK_BYTES = 1 << 20
_ALGORITHMS = {64: "sha256", 40: "sha1", 32: "md5"}


def hash_file(path: Path, algorithm: str = "sha256") -> str:
    """Return the hex digest of a file, read in pieces of 1 MiB.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.new(algorithm)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def checksum_mismatch(path: Path, checksum: str) -> str | None:
    """Return how a file differs from a hex digest of SHA-256, SHA-1 or MD5; None if it does not.

    Raises:
        OSError: The file cannot be read.
    """
    algorithm = _ALGORITHMS[len(checksum)]
    found = hash_file(path, algorithm)
    if found == checksum.lower():
        return None
    return f"{path.name} has {algorithm} {found}, the manifest says {checksum}"
