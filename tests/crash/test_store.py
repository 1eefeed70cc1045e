"""kill -9 of runs whose clips, journal and outputs are in a store: nothing lost or doubled."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support.buckets import bucket, local_copies, store
from tests.support.object_store import write_credentials
from tests.support.victim import Victim

__all__ = ["bucket", "local_copies", "store"]

WORKERS, SEGMENT = 2, 3

pytestmark = pytest.mark.serial


@pytest.fixture
def corpus(project, tiny_clips, bucket, store):
    project.add_clips(tiny_clips, copies=3)
    write_credentials(project.root, store.endpoint)
    bucket.put_clips(project.clips)
    bucket.put("scores.csv", project.scores.read_bytes())
    return project


def names(project) -> list[str]:
    return sorted(path.name for path in project.clips.iterdir())


def stored(bucket) -> Counter[str]:
    """Return how many whole lines each clip has in the objects of the journal."""
    keys = [key for key in bucket.listing("journal") if "/shard-" in key]
    lines = [line for key in keys for line in bucket.get(key).splitlines()[1:]]
    return Counter(json.loads(line)["clip"] for line in lines)


def begun(bucket) -> int:
    """Return the number of clips that have a line in a copy or a segment on this disk."""
    # Unlike rglob, walk passes over folders that a run removes meanwhile.
    walked = [(Path(folder), names) for folder, _, names in os.walk(bucket.scratch)]
    paths = [
        folder / name
        for folder, names in walked
        for name in names
        if "journal" in folder.parts and fnmatch(name, "shard-*.jsonl")
    ]
    total = 0
    for path in paths:
        try:
            total += max(path.read_bytes().count(b"\n") - 1, 0)
        except FileNotFoundError:  # it was moved meanwhile
            continue
    return total


def forget(bucket) -> None:
    """Remove everything that runs have finished, in the store and on this disk."""
    shutil.rmtree(bucket.scratch / f"k150k_store_{os.getuid()}", ignore_errors=True)
    for key in bucket.listing("journal"):
        bucket.files.rm_file(f"{bucket.name}/{key}")


def values(**others: object) -> dict[str, object]:
    known = {"extract.workers": WORKERS, "extract.shards": 4, "store.segment_clips": SEGMENT}
    return {**known, "store.segment_s": 600, **others}


@pytest.mark.thorough
@pytest.mark.parametrize("machine", ["stays", "is lost"])
def test_kills_all_along_a_run(corpus, bucket, ledger, machine):
    kills = max(1, ledger.kills() // 2)
    mid_run = 0
    draw = random.Random(f"store {machine}")
    corpus.run()
    expected = corpus.features.read_bytes()
    run = corpus.extract(params=bucket.params(**values()))
    for number in range(kills):
        if max(begun(bucket), stored(bucket).total()) > len(names(corpus)) - 2:
            forget(bucket)
        before = max(begun(bucket), stored(bucket).total())
        more = draw.randint(1, len(names(corpus)) - before - 1)
        victim = Victim.fork(run, corpus.root)
        if victim.reaches(lambda aim=before + more: begun(bucket) >= aim):
            victim.kill(True, draw)
            mid_run += 1
        with ledger.case(f"kills in a store: machine {machine}", f"kill {number}") as case:
            assert victim.survivors() == []
            done = begun(bucket)
            case.clips([], stored(bucket).elements())
            lost = done - stored(bucket).total()
            assert lost <= WORKERS * SEGMENT, f"{lost} clips are in no object"
            case.read(victim.output())
        if machine == "is lost":
            shutil.rmtree(bucket.scratch / f"k150k_store_{os.getuid()}", ignore_errors=True)
    assert mid_run == kills, "the kills missed the part that matters"
    with ledger.case(f"runs after kills in a store: machine {machine}", "the rows") as case:
        corpus.run(params=bucket.params(**values()))
        assert bucket.get("out/full.parquet") == expected
        case.clips(names(corpus), stored(bucket).elements())
    assert not [path for path in bucket.copies() if path.suffix == ".mp4"]
