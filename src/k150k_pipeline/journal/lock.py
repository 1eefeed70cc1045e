"""Locks: one run at a time on one output."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from k150k_pipeline.errors import InputError

logger = logging.getLogger(__name__)


class OutputInUseError(RuntimeError):
    """Another run holds the output."""


class RunLock:
    """An advisory lock that the kernel releases when its holder dies, also by ``kill -9``.

    Args:
        path: The lock file. It stays when the lock is released.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            OutputInUseError: Another process holds it; the message names host and process.
            InputError: The file cannot be written.
        """
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise OutputInUseError(_describe(self._path)) from None
            logger.warning("%s: this file system has no locks (%s)", self._path, error.strerror)
            return
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(_holder()).encode())
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
            f"the lock {self._path} cannot be written: {error.strerror}. A run locks every file "
            "that it writes: make its folder writable, or name another one"
        )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock within the block; raises as :meth:`acquire` does."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def read_holder(path: Path) -> dict[str, object] | None:
    """Return host, process and command of a lock's holder; None if no process holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read(path)
    finally:
        os.close(descriptor)
    return None


def _holder() -> dict[str, object]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        "command": " ".join(sys.argv)[:300],
    }


def _read(path: Path) -> dict[str, object]:
    try:
        holder: dict[str, object] = json.loads(path.read_text("utf-8"))
    except ValueError:
        return {}
    return holder


def _describe(path: Path) -> str:
    holder = _read(path)
    return (
        f"another run is working on this output: process {holder.get('pid', 'unknown')} on host "
        f"{holder.get('host', 'unknown')} since {holder.get('since', 'unknown')} "
        f"(`{holder.get('command', '')}`; lock {path}). Wait for it or stop it, then run again"
    )
