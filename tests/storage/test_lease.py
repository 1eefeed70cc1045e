"""Locks in a store: one run at a time, also after a kill, and none that has lost its lock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from k150k_pipeline.durable import lock_of, write_text
from k150k_pipeline.journal.lock import OutputInUseError, lock_at, read_holder
from k150k_pipeline.storage import StoreError, place
from tests.conftest import CHECKOUT
from tests.support.buckets import use_here
from tests.support.fault_proxy import FaultProxy
from tests.support.waiting import wait_until

HOLDING = """
import os, signal, sys
from pathlib import Path
from k150k_pipeline.journal.lock import lock_at
lock_at(Path(sys.argv[1])).acquire()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def output(bucket, monkeypatch) -> Path:
    monkeypatch.setenv("K150K_LEASES", "{}")
    return place(bucket.url("out/full.parquet"))


@pytest.fixture
def lock(output):
    return lock_of(output)


def test_second_run_is_refused_by_the_name_of_the_first(lock, bucket):
    first = lock_at(lock)
    first.acquire()
    with pytest.raises(OutputInUseError) as refused:
        lock_at(lock).acquire()
    words = f"another run is working on this output: process {os.getpid()} on host "
    assert str(refused.value).startswith(words) and bucket.url("out/.full") in str(refused.value)
    holder = read_holder(lock)
    assert holder is not None and holder["pid"] == os.getpid()
    first.release()
    assert read_holder(lock) is None and bucket.listing() == []
    second = lock_at(lock)
    second.acquire()
    second.release()


def test_of_many_at_once_one_gets_it(lock, bucket):
    got, refused = [], []

    def take():
        each = lock_at(lock)
        try:
            each.acquire()
        except OutputInUseError:
            refused.append(each)
        else:
            got.append(each)

    for _ in range(3):
        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) <= 1, "two runs at one output"
        assert len(got) + len(refused) == 8
        for each in got:
            each.release()
        got.clear()
        refused.clear()
        assert bucket.listing() == []


def kill_holder(lock, store) -> None:
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    environment["AWS_ENDPOINT_URL"] = store.endpoint
    subprocess.run([sys.executable, "-c", HOLDING, lock], cwd=CHECKOUT, env=environment)


def test_lock_of_a_process_killed_on_this_machine_is_taken_over_at_once(lock, bucket, store):
    kill_holder(lock, store)
    assert len(bucket.listing()) == 1 and read_holder(lock) is None
    other = lock_at(lock)
    other.acquire()
    other.release()
    assert bucket.listing() == []


def test_lock_of_another_machine_is_taken_over_once_it_has_run_out(
    lock, bucket, store, monkeypatch
):
    kill_holder(lock, store)
    (key,) = bucket.listing()
    holder = json.loads(bucket.get(key))
    bucket.put(key, json.dumps({**holder, "process": "1-2-3-4-5", "lease_s": 2}).encode())
    # Neither clock of the hosts matters, only that of the store.
    monkeypatch.setattr(time, "time", lambda: 4e9)
    with pytest.raises(OutputInUseError, match="another run is working on this output"):
        lock_at(lock).acquire()
    monkeypatch.undo()
    use_here(monkeypatch, store.endpoint)
    monkeypatch.setenv("TMPDIR", str(bucket.scratch))

    def taken() -> bool:
        other = lock_at(lock)
        try:
            other.acquire()
        except OutputInUseError:
            return False
        other.release()
        return True

    wait_until(taken)


def test_lease_is_renewed(lock, bucket, store, monkeypatch):
    use_here(monkeypatch, store.endpoint, lease_s=1)
    held = lock_at(lock)
    held.acquire()
    wait_until(lambda: bucket.listing()[-1:] == [f"out/{lock.name}.00000004"])
    with pytest.raises(OutputInUseError):
        lock_at(lock).acquire()
    held.release()
    assert bucket.listing() == []


def test_holder_that_cannot_renew_stops_and_replaces_no_output(
    output, lock, bucket, store, monkeypatch
):
    stopped = threading.Event()
    monkeypatch.setattr(os, "kill", lambda pid, number: stopped.set())
    with FaultProxy(store.endpoint) as proxy:
        use_here(monkeypatch, proxy.endpoint, lease_s=1)
        held = lock_at(lock)
        held.acquire()
        write_text(output, "ours")
        proxy.choose = lambda _: "503"
        assert stopped.wait(60)
        proxy.choose = lambda _: None
        for key in bucket.listing():
            if ".lock." in key:
                bucket.files.rm_file(f"{bucket.name}/{key}")
        bucket.put(f"out/{lock.name}.00000009", b'{"pid": 77, "host": "elsewhere"}')
        with pytest.raises(StoreError, match=r"not replaced: .* process 77 on host elsewhere"):
            write_text(output, "late")
    assert bucket.get("out/full.parquet") == b"ours"


def test_holder_that_was_taken_over_stops(lock, bucket, store, monkeypatch):
    killed = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    use_here(monkeypatch, store.endpoint, lease_s=1)
    held = lock_at(lock)
    held.acquire()
    number = int(bucket.listing()[-1].rpartition(".")[2])
    for each in range(number + 1, number + 5):
        bucket.put(f"out/{lock.name}.{each:08d}", b"{}")
    wait_until(lambda: bool(killed))
    assert killed == [(os.getpid(), signal.SIGINT)]


def test_store_without_conditions_is_named_in_one_warning(lock, bucket, store, monkeypatch, caplog):
    with FaultProxy(store.endpoint) as proxy:
        proxy.dropped.add("if-none-match")
        use_here(monkeypatch, proxy.endpoint)
        for _ in range(2):
            lock_at(lock).acquire()
    assert "this store has no conditional puts" in caplog.text
    assert bucket.listing() == []
