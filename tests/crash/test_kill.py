"""kill -9 at random moments: nothing lost, nothing twice, nobody left behind."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import time

import psutil
import pytest

from tests.support.victim import Victim

KILLS = 20


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


@pytest.mark.parametrize("whole_tree", [True, False], ids=["whole tree", "parent alone"])
def test_random_kills(corpus, whole_tree):
    corpus.run()
    expected = corpus.features.read_bytes()
    forget(corpus)
    moments = random.Random(f"seed {whole_tree}")
    killed = mid_run = 0
    while killed < KILLS:
        victim = Victim(corpus.command(), corpus.root)
        try:
            victim.process.wait(timeout=moments.uniform(0.8, 3.5))
        except subprocess.TimeoutExpired:
            victim.kill(whole_tree)
            killed += 1
            assert victim.survivors_after(2.0) == []
            mid_run += not corpus.features.exists() and any(corpus.journal.glob("shard-*"))
        else:
            assert corpus.features.read_bytes() == expected
            forget(corpus)
    corpus.run()
    assert corpus.features.read_bytes() == expected
    assert corpus.done.read_text().splitlines() == clip_names(corpus)
    assert mid_run >= 3, "the kills missed the part that matters"


def test_interrupt_stops_at_once_and_leaves_nobody(corpus, tiny_clips):
    corpus.add_clips(tiny_clips, copies=30)
    victim = Victim(corpus.command(), corpus.root)
    deadline = time.monotonic() + 30
    while not any(corpus.journal.glob("shard-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(victim.process.pid, signal.SIGINT)
    assert victim.process.wait(timeout=5) != 0
    assert victim.survivors_after(2.0) == []
    assert not corpus.features.exists()
    corpus.run()
    assert len(corpus.table()) == len(clip_names(corpus))


def test_full_disk_ends_the_run_with_its_reason_and_loses_nothing(corpus):
    """A limit on file sizes stands in for a disk that fills up in the middle of a line."""
    corpus.run()
    expected = corpus.features.read_bytes()
    forget(corpus)
    run = subprocess.run(
        corpus.command(params="extract.shards=1"),
        cwd=corpus.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)),
    )
    assert run.returncode != 0
    assert "cannot write the journal" in run.stdout and "Traceback" not in run.stdout
    assert not corpus.features.exists()
    (journal,) = corpus.journal.glob("shard-*")
    assert journal.stat().st_size == 9000
    output = corpus.run()
    assert " 0 done" not in output
    assert corpus.features.read_bytes() == expected


def test_worker_killed_for_memory_ends_the_run_with_its_reason(corpus, tiny_clips):
    corpus.add_clips(tiny_clips, copies=30)
    run = subprocess.Popen(
        corpus.command(),
        cwd=corpus.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not any(corpus.journal.glob("shard-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [p for p in psutil.Process(run.pid).children() if is_worker(p)]
    workers[0].kill()
    output, _ = run.communicate(timeout=20)
    assert run.returncode != 0
    assert "a worker process died" in output and "Traceback" not in output
    corpus.run()
    assert len(corpus.table()) == len(clip_names(corpus))


def is_worker(process: psutil.Process) -> bool:
    return any("spawn_main" in argument for argument in process.cmdline())
