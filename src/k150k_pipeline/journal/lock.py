"""Locks: one run at a time on one output."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from k150k_pipeline.durable import describe, write_whole
from k150k_pipeline.errors import InputError
from k150k_pipeline.storage import url_of
from k150k_pipeline.storage.lease import HeldByAnotherError, Lease, read_lease

logger = logging.getLogger(__name__)

_FLOCK = struct.Struct("hhqqi4x")
_HELD_BY_ANOTHER = (errno.EAGAIN, errno.EACCES)
_MOST_BYTES = 65536


class OutputInUseError(RuntimeError):
    """Another run holds the output."""


class Lock(Protocol):
    """A lock of a run on one output."""

    def acquire(self) -> None:
        """Take the lock; raises as :class:`RunLock` does."""

    def release(self) -> None:
        """Release the lock, if it is held."""


def lock_at(path: Path, *, shared: bool = False) -> Lock:
    """Return the lock of a path: a lock of the kernel, or a lease if it is in a store."""
    url = url_of(path)
    return RunLock(path, shared=shared) if url is None else StoreLock(url, shared=shared)


@contextmanager
def held(lock: Lock) -> Iterator[None]:
    """Hold a lock within the block; raises as its ``acquire`` does."""
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


class StoreLock:
    """A lock in a store; see :mod:`k150k_pipeline.storage.lease`.

    A run that loses it is stopped, as by Ctrl-C.

    Args:
        url: URL of the lock.
        shared: Whether others may share it: then it is only looked at, and a run that does not
            share it and starts later is not refused.
    """

    def __init__(self, url: str, *, shared: bool = False) -> None:
        self._url = url
        self._shared = shared
        self._lease = Lease(url, _holder(), self._stop)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            OutputInUseError: Another run holds it; the message names host and process.
            StoreError: The store cannot be used.
        """
        try:
            if not self._shared:
                self._lease.acquire()
            elif holder := read_lease(self._url):
                raise HeldByAnotherError(holder)
        except HeldByAnotherError as error:
            raise OutputInUseError(_describe(self._url, error.holder)) from None

    def release(self) -> None:
        """Release the lock, if it is held."""
        self._lease.release()

    def _stop(self) -> None:
        logger.error(
            "%s: the lock could not be renewed in time, and another run may have it now. This run "
            "stops; what it has finished is kept",
            self._url,
        )
        os.kill(os.getpid(), signal.SIGINT)


class RunLock:
    """An advisory lock that the kernel releases when its holder dies, also by ``kill -9``.

    It belongs to the open file (``F_OFD_SETLK``), so that others can ask for its holder without
    taking it themselves.

    Args:
        path: The lock file. It stays when the lock is released.
        shared: Whether others may share it; whoever does not share it is refused by both.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self._path = path
        self._kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            OutputInUseError: Another process holds it; the message names host and process.
            InputError: The file cannot be written.
        """
        descriptor = self._open()
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _whole_file(self._kind))
        except OSError as error:
            holder = _read(descriptor)
            os.close(descriptor)
            if error.errno in _HELD_BY_ANOTHER:
                raise OutputInUseError(_describe(self._path, holder)) from None
            logger.warning("%s: this file system has no locks (%s)", self._path, error.strerror)
            return
        try:
            os.ftruncate(descriptor, 0)
            write_whole(descriptor, json.dumps(_holder()).encode())
        except OSError as error:
            os.close(descriptor)
            raise self._unwritable(error) from error
        self._descriptor = descriptor

    def _open(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            f"the lock {self._path} cannot be written, and a run locks every file that it writes: "
            f"{describe(error)}"
        )

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._descriptor is not None:
            if self._kind == fcntl.F_WRLCK:  # else the name may be that of another holder
                with suppress(OSError):  # a holder's name that stays says nothing without its lock
                    os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def read_holder(path: Path) -> Mapping[str, object] | None:
    """Return host, process and command of a lock's holder; None if no process holds it.

    The lock is only looked at, so that a run that starts meanwhile is never refused.
    """
    if (url := url_of(path)) is not None:
        return read_lease(url)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        return _read(descriptor) if _is_locked(descriptor) else None
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _whole_file(fcntl.F_WRLCK))
    except OSError:  # this file system has no locks
        return False
    kind: int = _FLOCK.unpack(found)[0]
    return kind != fcntl.F_UNLCK


def _whole_file(kind: int) -> bytes:
    """Return a ``struct flock`` of a kind of lock on the whole file."""
    return _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0)


def _holder() -> dict[str, object]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        "command": " ".join(sys.argv)[:300],
    }


def _read(descriptor: int) -> dict[str, object]:
    """Return what a holder has written about itself; empty if it has not done so yet."""
    try:
        holder = json.loads(os.pread(descriptor, _MOST_BYTES, 0))
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _describe(path: Path | str, holder: Mapping[str, object]) -> str:
    return (
        f"another run is working on this output: process {holder.get('pid', 'unknown')} on host "
        f"{holder.get('host', 'unknown')} since {holder.get('since', 'unknown')} "
        f"(`{holder.get('command', '')}`; lock {path}). Wait for it or stop it, then run again"
    )
