"""Atomic writes: after a crash, a file is the old one or the new one, and whole."""

from __future__ import annotations

import errno
import filecmp
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from k150k_pipeline.storage import discard, make_folder, push
from k150k_pipeline.storage.lease import require_held

_REMEDIES = {
    errno.ENOSPC: "Make room on the disk",
    errno.EDQUOT: "Make room within the quota, or have it raised",
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "Make the file system writable, or name another place",
    errno.EACCES: "Change the permissions, or name another place",
    errno.EPERM: "Change the permissions, or name another place",
    errno.EIO: "Check the disk and its connection",
}

DISK_ERRORS = frozenset(_REMEDIES)
"""Error numbers with which a disk or a file system refuses to work."""


class UnwritableError(OSError):
    """A file cannot be written; the message names the file, the reason and what to do."""

    def __str__(self) -> str:
        return f"{self.filename} cannot be written: {describe(self)}"


def describe(error: OSError) -> str:
    """Return the reason of an error, and what to do, as one or two sentences."""
    if error.errno is None:
        return f"{error}. {remedy(error)}"
    return f"{os.strerror(error.errno)}. {remedy(error)}"


def remedy(error: OSError) -> str:
    """Return what to do about an error of a disk or a file system, as a sentence without a stop."""
    first = _REMEDIES.get(error.errno or 0, "Make it writable, or name another place")
    return f"{first}, then run the same command again"


@contextmanager
def naming(path: Path, *, everything: bool = False) -> Iterator[None]:
    """Give errors of a block in which a file is written the file's name.

    Args:
        path: The file.
        everything: Whether errors that name another file are of the writing too.

    Raises:
        UnwritableError: The file cannot be written.
    """
    try:
        yield
    except UnwritableError:
        raise
    except OSError as error:
        own = error.filename in (None, str(path), str(_temporary(path)))
        if not own and not everything:
            raise
        name = str(path) if own else error.filename
        raise UnwritableError(error.errno, error.strerror, name) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path``.

    The file is synced, renamed, and its folder synced. On an exception ``path`` stays as it was
    and the temporary file is removed. Temporary files of killed processes are removed too. An
    object in a store is replaced by one put, before its copy is.

    Raises:
        UnwritableError: The folder cannot be written, or the disk is full.
        StoreError: The store cannot be used.
    """
    temporary = _temporary(path)
    with naming(path, everything=True):
        make_folder(path.parent)
        for stale in path.parent.glob(f".{path.name}.*.tmp"):
            stale.unlink(missing_ok=True)
    try:
        with naming(path):
            yield temporary
        with naming(path, everything=True):
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            require_held(path, lock_of(path))
            push(temporary, path)
            temporary.replace(path)
            sync_folder(path.parent)
    finally:
        with suppress(OSError):  # the error that led here is the one to report
            temporary.unlink(missing_ok=True)


def lock_of(path: Path) -> Path:
    """Return the path of the lock of a file that is an output."""
    return path.with_name(f".{path.name}.lock")


def write_text(path: Path, text: str) -> None:
    """Replace a file by UTF-8 text, atomically; raises as :func:`replacing` does."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, document: Any) -> None:
    """Replace a file by a JSON document with an indent of 1, atomically.

    Raises as :func:`replacing` does.
    """
    write_text(path, json.dumps(document, indent=1) + "\n")


def keep(path: Path) -> Path:
    """Give a file a second name beside it, under which it stays when ``path`` is replaced.

    The name is that of the file with ``.original`` appended, or ``.original-2`` and so on: no
    file is ever overwritten. A file that is already kept is not kept again.

    Returns:
        The second name.

    Raises:
        OSError: The folder cannot be written, or the disk is full.
    """
    kept = next(k for k in _second_names(path) if _is_kept_as(path, k) or _link(path, k))
    sync_file(kept)
    sync_folder(kept.parent)
    _push_kept(kept)
    return kept


def is_kept(path: Path) -> bool:
    """Return whether a file is already kept under a second name."""
    taken = takewhile(os.path.lexists, _second_names(path))
    return any(_is_kept_as(path, kept) for kept in taken)


def move_aside(path: Path) -> Path:
    """Give a file another name as :func:`keep` does, and take the first one away."""
    kept = keep(path)
    discard(path)
    sync_folder(path.parent)
    return kept


def _push_kept(kept: Path) -> None:
    with suppress(FileExistsError):  # it was kept by a run that was killed before it went on
        push(kept, kept, create=True)


def _second_names(path: Path) -> Iterator[Path]:
    yield path.with_name(f"{path.name}.original")
    for number in count(2):
        yield path.with_name(f"{path.name}.original-{number}")


def _is_kept_as(path: Path, kept: Path) -> bool:
    """Return whether a name is a second link to a file or a copy of it, not a link to its name."""
    if not os.path.lexists(kept):
        return False
    if os.path.samestat(path.lstat(), kept.lstat()):
        return True
    return kept.is_file() and not kept.is_symlink() and filecmp.cmp(path, kept, shallow=False)


def _link(path: Path, kept: Path) -> bool:
    """Return False if the name is taken; where the file system has no links, copy the file."""
    try:
        kept.hardlink_to(path)
    except FileExistsError:
        return False
    except OSError:
        if os.path.lexists(kept):
            return False
        with replacing(kept) as temporary:
            shutil.copyfile(path, temporary)
    return True


def sync_file(path: Path) -> None:
    """Make the content of a file durable that another program may have written."""
    with path.open("rb") as file, suppress(OSError):  # not every file system syncs such a file
        os.fsync(file.fileno())


def write_whole(descriptor: int, data: bytes, at: int | None = None) -> None:
    """Write all of the data; what a full disk has no room for gives its error.

    Args:
        descriptor: Open file.
        data: The bytes.
        at: Position of the first one; None for where the file stands.

    Raises:
        OSError: Not all of it could be written.
    """
    done = 0
    while done < len(data):
        rest = data[done:]
        done += os.write(descriptor, rest) if at is None else os.pwrite(descriptor, rest, at + done)


def sync_folder(folder: Path) -> None:
    """Make a rename or a new name in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")
