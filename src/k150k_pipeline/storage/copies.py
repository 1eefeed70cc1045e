"""Copies of objects on this disk, made current before they are read, and put when written."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

from k150k_pipeline.storage import connection
from k150k_pipeline.storage.connection import Object, UnreachableError
from k150k_pipeline.storage.places import url_of
from k150k_pipeline.storage.scratch import require_root

logger = logging.getLogger(__name__)

_AT_A_TIME = 8
_TRIES = 3


def fetched(path: Path) -> Path:
    """Return a path, of an object's copy after it was made current; no object, no copy.

    Raises:
        StoreError: The store cannot be used.
    """
    url = url_of(path)
    if url is None:
        return path
    found = connection.info(url)
    if found is None:
        path.unlink(missing_ok=True)
    else:
        _make_current(found, path)
    return path


def refresh(folder: Path, start: str = "", end: str = "", immutable: str = "shard-") -> None:
    """Make the copies of the objects in a folder current, with one listing; others are removed.

    Args:
        folder: The folder; one on this disk alone is left as it is.
        start: What the names begin with.
        end: What they end with.
        immutable: What the names of objects begin with that never change once they are there.

    Raises:
        StoreError: The store cannot be used.
    """
    url = url_of(folder)
    if url is None:
        return
    began = time.time()
    found = [each for each in connection.listing(url, start) if each.name.endswith(end)]
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        for copied in [
            threads.submit(_make_current, each, folder / each.name, each.name.startswith(immutable))
            for each in found
            if not each.name.startswith(".")
        ]:
            copied.result()
    _remove_others(folder, (start, end), {each.name for each in found}, began)


def push(source: Path, path: Path, *, create: bool = False) -> None:
    """Put a file to where a path's object is; of a path on this disk alone do nothing.

    Args:
        source: The file; it may take the place of the copy afterwards.
        path: Path of the copy.
        create: Whether there must be no object yet.

    Raises:
        FileExistsError: There is one.
        StoreError: The store cannot be used.
    """
    if (url := url_of(path)) is not None:
        _mark(source, connection.put(source, url, create=create))


def vacate(path: Path) -> None:
    """Remove the object whose copy a path is; of a path on this disk alone do nothing."""
    if (url := url_of(path)) is not None:
        connection.remove(url)


def discard(path: Path) -> None:
    """Remove a file, and the object whose copy it is."""
    vacate(path)
    path.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder, of copies within a folder of this user alone; raises as ``mkdir`` does."""
    if url_of(folder) is not None:
        require_root()
    folder.mkdir(parents=True, exist_ok=True)


def fetch_whole(source: Object, target: Path) -> None:
    """Write an object to a file, and compare its bytes with its checksum.

    A tag that looks like an MD5 and is another one after each of two fetches of the same bytes
    is none, as with objects that a store has encrypted. Then only the size is compared.

    Raises:
        FileNotFoundError: There is no such object any more.
        StoreError: The store cannot be used.
    """
    before = ""
    for _ in range(_TRIES):
        connection.fetch(source, target)
        if not source.md5:
            _note_no_checksum(source.url.partition("://")[0])
            return
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
        if digest == source.md5:
            return
        if digest == before:
            _note_no_checksum(source.url.partition("://")[0])
            return
        before = digest
    raise UnreachableError(
        f"{source.url} has come with other bytes each time: look into the network and the store, "
        "then run the same command again"
    )


@cache
def _note_no_checksum(scheme: str) -> None:
    logger.info(
        "Some objects of %s:// have no MD5 as tag: of these the size is checked alone", scheme
    )


def _make_current(found: Object, path: Path, immutable: bool = False) -> None:
    if _is_current(found, path, immutable):
        return
    require_root()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        fetch_whole(found, temporary)
        _mark(temporary, found)
        temporary.replace(path)
    except FileNotFoundError:  # it was removed since it was listed
        path.unlink(missing_ok=True)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _mark(copy: Path, found: Object) -> None:
    """Give a copy the time by which it is recognised."""
    os.utime(copy, ns=(found.mtime_ns, found.mtime_ns))


def _is_current(found: Object, path: Path, immutable: bool) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_size == found.size and (immutable or status.st_mtime_ns == found.mtime_ns)


def _remove_others(folder: Path, ends: tuple[str, str], names: set[str], began: float) -> None:
    """Remove copies without an object; one of this moment may be newer than the listing."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        start, end = ends
        listed = path.name.startswith(start) and path.name.endswith(end)
        if path.name in names or not listed or path.name.startswith("."):
            continue
        with suppress(OSError):
            if path.is_file() and path.stat().st_ctime < began:
                path.unlink()
