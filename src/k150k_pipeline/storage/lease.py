"""Leases on objects in a store: one holder at a time, as long as it renews its lease.

A lease is a row of objects, ``<name>.00000001`` and so on, each created on the condition that there
is none of that name. Whoever created the one with the highest number holds the lease; to renew it
is to create the next one. That needs no other condition than "if there is none", which every store
with conditions has. Whether a lease has run out is judged by the store's clock alone: a probe that
is written now has the store's time of now.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from k150k_pipeline.storage import connection
from k150k_pipeline.storage.connection import Object, StoreError
from k150k_pipeline.storage.places import url_of
from k150k_pipeline.storage.scratch import is_dead, process_name
from k150k_pipeline.storage.settings import current

logger = logging.getLogger(__name__)

_HELD = "K150K_LEASES"
_DIGITS = 8

Holder = Mapping[str, object]


class HeldByAnotherError(Exception):
    """Another run holds the lease.

    Attributes:
        holder: What it has written about itself.
    """

    def __init__(self, holder: Holder) -> None:
        super().__init__(holder)
        self.holder = holder


class Lease:
    """A lease that a thread renews until it is released or lost.

    Args:
        url: What it is on; its objects have this URL and a number.
        holder: What others are shown of the holder.
        on_loss: Called, in that thread, when the lease is lost.
    """

    def __init__(self, url: str, holder: Holder, on_loss: Callable[[], None]) -> None:
        self._url = url
        self._token = uuid.uuid4().hex
        self._lease_s = current().lease_s
        fields = {**holder, "process": process_name(), "token": self._token}
        self._data = json.dumps({**fields, "lease_s": self._lease_s}).encode()
        self._on_loss = on_loss
        self._number = 0
        self._renewed = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def acquire(self) -> None:
        """Take the lease.

        Raises:
            HeldByAnotherError: Another run holds it.
            StoreError: The store cannot be used.
        """
        try:
            now = self._store_time()
        except NotImplementedError:
            logger.warning(
                "%s: this store has no conditional puts, so nothing refuses a second run", self._url
            )
            return
        newest = _newest(self._url)
        if newest is not None and not _has_run_out(newest, now):
            raise HeldByAnotherError(_read(newest.url))
        self._number = _number_of(newest) + 1 if newest else 1
        if not self._create(self._number) or _number_of(_newest(self._url)) != self._number:
            self._give_way()
        self._renewed = time.monotonic()
        for older in _all(self._url):
            if _number_of(older) < self._number:
                connection.remove(older.url)
        _note_held({**_held(), self._url: self._token})
        self._thread.start()

    def release(self) -> None:
        """Release the lease, if it is held."""
        if not self._thread.is_alive():
            return
        self._stop.set()
        self._thread.join()
        _note_held({url: token for url, token in _held().items() if url != self._url})
        with suppress(StoreError):  # then it runs out
            connection.remove(self._numbered(self._number))

    def _give_way(self) -> None:
        """Let the run that was quicker have it."""
        newest = _newest(self._url)
        if _number_of(newest) != self._number:
            connection.remove(self._numbered(self._number))
        raise HeldByAnotherError(_read(newest.url) if newest else {})

    def _renew(self) -> None:
        while not self._stop.wait(self._lease_s / 4):
            try:
                renewed = self._create(self._number + 1, patience_s=self._lease_s / 4)
            except StoreError:
                renewed = None
            if renewed:
                self._renewed = time.monotonic()
                self._number += 1
                with suppress(StoreError):
                    connection.remove(self._numbered(self._number - 1))
            elif renewed is False or time.monotonic() > self._renewed + 0.7 * self._lease_s:
                self._on_loss()
                return

    def _create(self, number: int, patience_s: float | None = None) -> bool:
        """Create the object of a number; it counts as created if it is ours from before."""
        url = self._numbered(number)
        return (
            connection.create(url, self._data, patience_s) or _read(url).get("token") == self._token
        )

    def _numbered(self, number: int) -> str:
        return f"{self._url}.{number:0{_DIGITS}d}"

    def _store_time(self) -> int:
        """Return the time of the store's clock, in seconds.

        Raises:
            NotImplementedError: The store does not heed conditions.
        """
        probe = f"{self._url}.{self._token}"
        try:
            connection.create(probe, b"")
            if connection.create(probe, b""):
                raise NotImplementedError
            written = connection.info(probe)
            return written.changed if written else 0
        finally:
            connection.remove(probe)


def read_lease(url: str) -> Holder | None:
    """Return what the holder of a lease has written about itself; None if there is none.

    Raises:
        StoreError: The store cannot be used.
    """
    newest = _newest(url)
    if newest is None:
        return None
    holder = _read(newest.url)
    return None if _is_known_dead(holder) else holder


def require_held(path: Path, lock: Path) -> None:
    """Refuse to replace an output whose lease this run has held and lost.

    Args:
        path: The output.
        lock: Path of its lock.

    Raises:
        StoreError: Another run holds it now.
    """
    url = url_of(lock)
    if url is None or (token := _held().get(url)) is None:
        return
    newest = _newest(url)
    holder = _read(newest.url) if newest else {}
    if holder.get("token") != token:
        raise StoreError(
            f"{url_of(path)} is not replaced: this run has lost its lock, as it could not renew it "
            f"in time, and process {holder.get('pid', 'unknown')} on host "
            f"{holder.get('host', 'unknown')} may have it now. The journal is kept: run the same "
            "command again once no other run works on this output"
        )


def _all(url: str) -> list[Object]:
    """Return the objects of a lease in the order of their numbers."""
    folder, _, name = url.rpartition("/")
    found = connection.listing(folder, f"{name}.")
    return [each for each in found if each.name[len(name) + 1 :].isdecimal()]


def _newest(url: str) -> Object | None:
    return max(_all(url), key=_number_of, default=None)


def _number_of(found: Object | None) -> int:
    return int(found.name.rpartition(".")[2]) if found else 0


def _has_run_out(newest: Object, now: int) -> bool:
    holder = _read(newest.url)
    lease_s = holder.get("lease_s")
    longest = float(lease_s) if isinstance(lease_s, int | float) else current().lease_s
    # Times of stores are whole seconds.
    return _is_known_dead(holder) or now - newest.changed > longest + 1


def _is_known_dead(holder: Holder) -> bool:
    """Return whether the holder was a process of this machine that has ended."""
    return is_dead(str(holder.get("process", "")))


def _read(url: str) -> dict[str, Any]:
    try:
        holder = json.loads(connection.read(url) or b"{}")
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _held() -> dict[str, str]:
    """Return the tokens of the leases that this run holds, also in the processes it starts."""
    held: dict[str, str] = json.loads(os.environ.get(_HELD, "{}"))
    return held


def _note_held(held: Mapping[str, str]) -> None:
    os.environ[_HELD] = json.dumps(held)
