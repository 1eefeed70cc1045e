"""Atomic writes: after a crash, a file is the old one or the new one, and whole."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count, takewhile
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path``.

    The file is synced, renamed, and its folder synced. On an exception ``path`` stays as it was
    and the temporary file is removed. Temporary files of killed processes are removed too.

    Raises:
        OSError: The folder cannot be written, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{path.name}.*.tmp"):
        stale.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a file by UTF-8 text, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, document: Any) -> None:
    """Replace a file by a JSON document with an indent of 1, atomically."""
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
    return kept


def is_kept(path: Path) -> bool:
    """Return whether a file is already kept under a second name."""
    taken = takewhile(os.path.lexists, _second_names(path))
    return any(_is_kept_as(path, kept) for kept in taken)


def move_aside(path: Path) -> Path:
    """Give a file another name as :func:`keep` does, and take the first one away."""
    kept = keep(path)
    path.unlink()
    sync_folder(path.parent)
    return kept


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


def sync_folder(folder: Path) -> None:
    """Make a rename or a new name in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
