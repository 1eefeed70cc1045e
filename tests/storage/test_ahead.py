"""Clips on this disk: a few at a time, whole or not at all, and none for longer than needed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from k150k_pipeline.datasets import ClipFolderDataset
from k150k_pipeline.errors import UNFETCHED, ClipError, InputError
from k150k_pipeline.media.identity import identify
from k150k_pipeline.storage import FetchedAhead, scratch
from k150k_pipeline.storage.connection import info, listing
from tests.conftest import CHECKOUT
from tests.support.buckets import use_here
from tests.support.fault_proxy import FaultProxy
from tests.support.waiting import wait_until

NAMES = [f"{index:02d} ü.mp4" for index in range(12)]


@pytest.fixture
def clips(bucket):
    """Put twelve clips of a kilobyte each, and return their folder."""
    for index, name in enumerate(NAMES):
        bucket.put(f"clips/{name}", bytes([index]) * 1000)
    return ClipFolderDataset(path=bucket.url("clips")).load()


def held(bucket) -> int:
    return sum(path.suffix == ".mp4" for path in bucket.copies())


def test_no_more_clips_than_allowed_and_none_afterwards(clips, bucket, store, monkeypatch):
    use_here(monkeypatch, store.endpoint, prefetch_clips=3)
    with clips.at_hand(NAMES) as here:
        for index, name in enumerate(NAMES):
            assert here.find(name).read_bytes() == bytes([index]) * 1000
            most = min(3, len(NAMES) - index)
            wait_until(lambda most=most: held(bucket) == most)
            assert here.find(name).is_file(), "it stays until the next one is asked for"
    assert bucket.copies() == []


def test_no_more_bytes_than_allowed(bucket, store, monkeypatch):
    use_here(monkeypatch, store.endpoint, prefetch_clips=8, prefetch_mb=1)
    sizes = [400_000, 500_000, 600_000, 2_000_000, 300_000, 300_000, 300_000]
    names = [f"{index}.mp4" for index in range(len(sizes))]
    for name, size in zip(names, sizes, strict=True):
        bucket.put(f"clips/{name}", os.urandom(size))
    most = 0
    with FetchedAhead(names, lambda name: info(bucket.url(f"clips/{name}"))) as ahead:
        for name, size in zip(names, sizes, strict=True):
            assert ahead.get(name).stat().st_size == size
            on_disk = sum(path.stat().st_size for path in bucket.copies())
            assert on_disk <= max(2**20, size), "a larger clip is there alone"
            most = max(most, on_disk)
    assert most > 600_000, "nothing was fetched ahead"


def test_clips_may_be_left_out_and_asked_for_again(clips, bucket):
    with clips.at_hand(NAMES) as here:
        for index in (3, 4, 9, 2, 9, 0, 11):
            assert here.find(NAMES[index]).read_bytes()[:1] == bytes([index])
    assert bucket.copies() == []


@pytest.mark.sample(every=3)
@pytest.mark.parametrize("fault", ["cut", "flip", "500", "503", "reset", "slow"])
def test_spoiled_body_is_fetched_again(clips, bucket, store, monkeypatch, fault):
    with FaultProxy(store.endpoint, lambda a: None if a.before else fault) as proxy:
        use_here(monkeypatch, proxy.endpoint, patience_s=30)
        with clips.at_hand(NAMES) as here:
            for index, name in enumerate(NAMES):
                assert here.find(name).read_bytes() == bytes([index]) * 1000
        assert proxy.faults[fault] >= len(NAMES)


def test_clip_that_does_not_come_is_not_the_clips_fault(clips, store, monkeypatch):
    with FaultProxy(store.endpoint, lambda a: "503" if "05" in a.path else None) as proxy:
        use_here(monkeypatch, proxy.endpoint, patience_s=0.5)
        with clips.at_hand(NAMES) as here:
            for name in NAMES[:5]:
                here.find(name)
            with pytest.raises(ClipError) as caught:
                here.find(NAMES[5])
            assert caught.value.reason == UNFETCHED and "0.5 seconds" in caught.value.detail
            assert here.find(NAMES[6]).is_file()


def test_clip_that_is_gone_is_missing(clips, bucket):
    clips.names()
    bucket.files.rm_file(f"{bucket.name}/clips/{NAMES[0]}")
    with clips.at_hand(NAMES) as here, pytest.raises(ClipError) as caught:
        identify(here.find(NAMES[0]))
    assert caught.value.reason == "missing"


def test_identity_is_that_of_the_object(clips, bucket):
    with clips.at_hand() as here:
        found = identify(here.find(NAMES[1]))
    assert found.sha256 == hashlib.sha256(bytes([1]) * 1000).hexdigest()
    assert found.is_version(clips.unread(NAMES[1]))
    bucket.put(f"clips/{NAMES[1]}", bytes([2]) * 1000)  # within the same second, as a rule
    assert not found.is_version(ClipFolderDataset(path=bucket.url("clips")).load().unread(NAMES[1]))


def test_only_clips_right_below_count(bucket):
    for key in ("clips/a.mp4", "clips/b.MP4", "clips/sub/c.mp4", "clips/.d.mp4", "clips/e.txt"):
        bucket.put(key, b"x")
    bucket.put("clips/", b"")
    bucket.put("clips/f.mp4/", b"")
    bucket.put("clips2/g.mp4", b"x")
    assert ClipFolderDataset(path=bucket.url("clips/")).load().names() == ["a.mp4", "b.MP4"]


def test_empty_folder_and_missing_bucket_are_named(bucket):
    with pytest.raises(InputError, match=r"clip folder s3://.*none has no clip: put the clips"):
        ClipFolderDataset(path=bucket.url("none")).load().names()
    with pytest.raises(InputError, match="s3://no-such-bucket/clips: there is no such bucket"):
        ClipFolderDataset(path="s3://no-such-bucket/clips").load().names()


@pytest.mark.thorough
def test_many_keys_are_listed_a_thousand_at_a_time(bucket, store, monkeypatch):
    bucket.put_many("many", 2500)
    with FaultProxy(store.endpoint) as proxy:
        use_here(monkeypatch, proxy.endpoint)
        assert len(listing(bucket.url("many"))) == 2500
        assert len(proxy.requests) == 3


def test_scratch_of_a_killed_process_is_removed_and_nothing_else(bucket):
    program = (
        "import os, signal; from k150k_pipeline.storage import scratch; "
        "print(scratch.own_folder(), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, stdout=-1, text=True)
    folder = scratch.root() / killed.stdout.strip().rpartition("/")[2]
    assert folder.is_dir()
    others = [scratch.root() / name for name in ("clips-", "clips-1-2-3-4-5", "clips-of-mine")]
    for other in others:
        other.mkdir()
    own = scratch.own_folder()
    assert not folder.exists() and own.is_dir() and all(other.is_dir() for other in others)


def test_folder_of_another_user_is_not_used(bucket):
    scratch.root().mkdir(mode=0o755)
    with pytest.raises(InputError, match="not a folder of this user alone: remove it"):
        scratch.own_folder()
