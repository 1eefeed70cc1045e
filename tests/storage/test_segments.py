"""A journal in a store: objects written once, of so many clips or seconds, and nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from k150k_pipeline.datasets import JournalDataset
from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal.files import Damage
from k150k_pipeline.journal.worker import ShardJournal
from k150k_pipeline.storage import scratch
from tests.conftest import CHECKOUT
from tests.support.buckets import use_here
from tests.support.fault_proxy import FaultProxy
from tests.support.waiting import wait_until

KILLED = """
import os, signal, sys
from tests.storage.test_segments import journal_in
journal = journal_in(sys.argv[1])
writer = journal.writer(3, "f", {}, "run 1")
for number in range(int(sys.argv[2])):
    writer.ok(f"{number}.mp4", 1, 0.1, {"n": number})
if sys.argv[3]:
    os.write(writer._open(), sys.argv[3].encode())
os.kill(os.getpid(), signal.SIGKILL)
"""


def journal_in(url):
    return JournalDataset(path=f"{url}/journal", output={"filepath": f"{url}/o.parquet"}).journal


@pytest.fixture
def journal(bucket, store, monkeypatch):
    use_here(monkeypatch, store.endpoint, segment_clips=3, segment_s=600)
    return journal_in(bucket.url("x"))


def write(writer, clips) -> None:
    for clip in clips:
        writer.ok(clip, 1, 0.1, {"of": clip})


def lines(bucket) -> list[int]:
    """Return the number of clips in each object of the journal."""
    # Before its first object a folder may list itself.
    keys = [key for key in bucket.listing("x/journal") if key.endswith(".jsonl")]
    assert all(bucket.get(key).endswith(b"\n") for key in keys)
    return [bucket.get(key).count(b"\n") - 1 for key in keys]


def clips_in(journal) -> list[str]:
    damage = Damage()
    found = sorted(entry.clip for entry in journal.entries(damage))
    assert damage == Damage()
    return found


def test_objects_have_so_many_clips_and_never_change(journal, bucket):
    with journal.writer(0, "f", {"engine": "x"}, "run 1") as writer:
        write(writer, "ab")
        assert lines(bucket) == []
        write(writer, "c")
        first = {key: bucket.get(key) for key in bucket.listing("x/journal")}
        write(writer, "defg")
        assert lines(bucket) == [3, 3]
    assert lines(bucket) == [3, 3, 1]
    assert {key: bucket.get(key) for key in first} == first
    assert clips_in(journal) == list("abcdefg")
    assert journal.scorings() == {"f": {"engine": "x"}}
    shutil.rmtree(scratch.root())  # another machine has no copies
    assert clips_in(journal) == list("abcdefg")


def test_clip_is_put_after_so_long_though_no_other_follows(bucket, store, monkeypatch):
    use_here(monkeypatch, store.endpoint, segment_clips=100, segment_s=0.1)
    with journal_in(bucket.url("x")).writer(0, "f", {}, "run 1") as writer:
        write(writer, "a")
        wait_until(lambda: lines(bucket) == [1])
        write(writer, "b")
        wait_until(lambda: lines(bucket) == [1, 1])


@pytest.mark.parametrize("torn", ["", '{"clip":"torn.mp4"'])
def test_killed_writer_loses_nothing_on_its_machine_and_no_more_than_stated_without(
    journal, bucket, store, torn
):
    program = [sys.executable, "-c", KILLED, bucket.url("x"), "5", torn]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    environment["AWS_ENDPOINT_URL"] = store.endpoint
    environment["K150K_STORE"] = os.environ["K150K_STORE"]
    subprocess.run(program, cwd=CHECKOUT, env=environment)
    assert lines(bucket) == [3], "5 less than a segment"
    assert journal.cut_torn_lines() == bool(torn)
    assert clips_in(journal) == [f"{number}.mp4" for number in range(5)]
    assert journal.cut_torn_lines() == 0
    assert lines(bucket) == [3, 2]


def test_successor_counts_what_others_have_finished_of_its_shard_in_this_run(journal):
    for shard, run, clip in ((3, "run 1", "a"), (3, "run 0", "b"), (4, "run 1", "c")):
        with journal.writer(shard, "f", {}, run) as writer:
            write(writer, clip)
    shutil.rmtree(scratch.root())
    with ShardJournal(journal, 3, "f", {}, "run 1") as lines_of_shard:
        assert list(lines_of_shard.earlier) == ["a"]
        lines_of_shard.ok("d", 1, 0.1, {})
        assert lines_of_shard.tally().ok == 2


def test_put_whose_answer_is_lost_is_made_once(bucket, store, monkeypatch):
    with FaultProxy(store.endpoint) as proxy:
        use_here(monkeypatch, proxy.endpoint, segment_clips=2, patience_s=30)
        proxy.choose = lambda a: "lost" if a.method == "PUT" and not a.before else None
        journal = journal_in(bucket.url("x"))
        with journal.writer(0, "f", {}, "run 1") as writer:
            write(writer, "abcd")
        assert proxy.faults["lost"] == 2
    assert lines(bucket) == [2, 2]
    assert clips_in(journal) == list("abcd")


def test_store_that_is_away_ends_the_shard_and_keeps_its_clips(bucket, store, monkeypatch):
    with FaultProxy(store.endpoint) as proxy:
        use_here(monkeypatch, proxy.endpoint, segment_clips=2, patience_s=0.3)
        writer = journal_in(bucket.url("x")).writer(0, "f", {}, "run 1")
        write(writer, "ab")
        proxy.choose = lambda _: "503"
        with pytest.raises(JournalError, match=r"s3://.*/x/journal cannot be written: .*0\.3 sec"):
            write(writer, "cd")
        proxy.choose = lambda _: None
        write(writer, "e")
        writer.__exit__(None, None, None)
    assert sum(lines(bucket)) == 5


def test_put_thought_to_have_failed_is_not_written_over(bucket, store, monkeypatch):
    with FaultProxy(store.endpoint) as proxy:
        use_here(monkeypatch, proxy.endpoint, segment_clips=2, patience_s=0.3)
        journal = journal_in(bucket.url("x"))
        writer = journal.writer(0, "f", {}, "run 1")
        proxy.choose = lambda a: "lost" if a.method == "PUT" else "503"
        with pytest.raises(JournalError):
            write(writer, "ab")
        assert lines(bucket) == [2]
        proxy.choose = lambda _: None
        write(writer, "c")
        writer.__exit__(None, None, None)
    assert sorted(lines(bucket)) == [2, 3]
    assert sorted(set(clips_in(journal))) == ["a", "b", "c"]


def test_segment_that_cannot_be_read_is_named(journal, bucket):
    with journal.writer(0, "f", {}, "run 1") as writer:
        write(writer, "a")
    (key,) = bucket.listing("x/journal")
    bucket.put(key, bucket.get(key)[:-9] + b"\n")
    shutil.rmtree(scratch.root())
    damage = Damage()
    assert list(journal.entries(damage)) == [] and len(damage.broken) == 1
