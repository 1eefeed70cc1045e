"""kill -9 all along a run: nothing lost, nothing twice, nobody left behind."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.conftest import KEDRO
from tests.support.journals import announced_at, journaled
from tests.support.victim import Victim

STEP = 8
"""A run is killed after so many clips at most."""

pytestmark = pytest.mark.serial


def clip_names(project) -> list[str]:
    return sorted(path.name for path in project.clips.iterdir())


def forget(project) -> None:
    """Remove everything a run made."""
    for folder in ("02_intermediate", "04_feature"):
        subprocess.run(["rm", "-rf", project.root / "data" / folder], check=True)


@pytest.fixture
def corpus(project, tiny_clips):
    project.add_clips(tiny_clips, copies=4)
    return project


def point_of_death(corpus, number: int, draw: random.Random) -> Callable[[], bool]:
    """Return what a run has reached when it is killed: a plan, some clips more, or the last clip.

    A run that has fewer clips to do lives to its end.
    """
    before, done = announced_at(corpus.journal), journaled(corpus.journal).total()
    left = len(clip_names(corpus)) - done
    more = {0: 0, 4: left or 1}.get(number % 5, draw.randint(1, STEP))
    return lambda: (
        announced_at(corpus.journal) > before and journaled(corpus.journal).total() >= done + more
    )


@pytest.mark.parametrize(
    "whole_tree",
    [
        pytest.param(True, id="whole tree", marks=pytest.mark.thorough),
        pytest.param(False, id="parent alone"),
    ],
)
def test_kills_all_along_a_run(corpus, whole_tree, ledger):
    kills = ledger.kills()
    corpus.run()
    expected = corpus.features.read_bytes()
    forget(corpus)
    draw = random.Random(f"seed {whole_tree}")
    killed = mid_run = 0
    while killed < kills:
        point = point_of_death(corpus, killed, draw)
        workers = f"extract.workers={1 + killed % 2}"
        victim = Victim.fork(corpus.extract(params=workers), corpus.root)
        if victim.reaches(point):
            victim.kill(whole_tree, draw)
            killed += 1
            with ledger.case("kills: extract", f"kill {killed}, whole tree: {whole_tree}") as case:
                assert victim.survivors() == []
                case.clips([], journaled(corpus.journal).elements())
                case.read(victim.output())
            mid_run += not corpus.features.exists() and any(corpus.journal.glob("shard-*"))
        else:
            assert victim.process.wait() == 0
            assert corpus.features.read_bytes() == expected
            forget(corpus)
    corpus.run()
    assert corpus.features.read_bytes() == expected
    assert corpus.done.read_text().splitlines() == clip_names(corpus)
    with ledger.case("runs after kills: extract", "the rows") as case:
        case.clips(clip_names(corpus), journaled(corpus.journal).elements())
    assert mid_run >= kills // 2, "the kills missed the part that matters"


@pytest.mark.thorough
def test_interrupt_stops_at_once_and_leaves_no_process(corpus, tiny_clips):
    corpus.add_clips(tiny_clips, copies=8)
    victim = Victim.start([*KEDRO, *corpus.extract()], corpus.root)
    assert victim.reaches(lambda: journaled(corpus.journal).total() > 0)
    os.killpg(victim.pid, signal.SIGINT)
    assert victim.process.wait() != 0
    assert victim.survivors() == []
    assert not corpus.features.exists()
    assert journaled(corpus.journal).total() < len(clip_names(corpus)) // 2, "not at once"
    corpus.run()
    assert len(corpus.table()) == len(clip_names(corpus))


@pytest.mark.thorough
def test_full_disk_ends_the_run_with_its_reason_and_loses_nothing(corpus):
    """A limit on file sizes stands in for a disk that fills up in the middle of a line."""
    corpus.run()
    expected = corpus.features.read_bytes()
    forget(corpus)
    run = subprocess.run(
        [*KEDRO, *corpus.extract(params="extract.shards=1")],
        cwd=corpus.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)),
    )
    assert run.returncode != 0
    assert "cannot be written: " in run.stdout and "Traceback" not in run.stdout
    assert not corpus.features.exists()
    (journal,) = corpus.journal.glob("shard-*")
    assert journal.stat().st_size == 9000
    output = corpus.run()
    assert " 0 done" not in output
    assert corpus.features.read_bytes() == expected
