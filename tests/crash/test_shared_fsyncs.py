"""Clips that take less time than the disk: what a power cut leaves of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.files import Damage
from k150k_pipeline.journal.worker import ShardJournal, work_through
from tests.conftest import CHECKOUT
from tests.support.faults import Action, Call, Fault, Point, environment, library, points
from tests.support.ledger import Ledger

CLIPS = [f"{number}.mp4" for number in range(9)]
SYNCED = [1, 4, 7, 9]
"""Lines on the disk after each fsync: one takes as long as three clips."""

SAMPLE = 4
"""Power cuts that are tried without ``--crash=full``."""

SCRIPT = """
import json, os, sys, time
from pathlib import Path
from tests.crash.test_shared_fsyncs import work
from tests.support.kedro_server import FAULT, arm

now, fsync = 0.0, os.fsync

def pass_time(seconds):
    global now
    now += seconds

time.perf_counter = lambda: now
os.fsync = lambda descriptor: (fsync(descriptor), pass_time(3 / 128))
arm(**json.loads(os.environ[FAULT]))
work(Path(sys.argv[1]), lambda clip: pass_time(1 / 128))
"""


def journal_in(folder: Path) -> Journal:
    return Journal(folder / "journal", folder / "features.parquet")


def work(folder: Path, process) -> None:
    """Work through the clips; a clip that has a line is not processed again."""
    journal = journal_in(folder)
    journal.cut_torn_lines()
    done = {entry.clip for entry in journal.entries()}
    with ShardJournal(journal, 0, "f", {}, str(len(done))) as shard:
        left = [clip for clip in CLIPS if clip not in done]
        work_through(left, lambda clip: process(clip) or {"of": clip}, shard, {})


def disturbed(fault: Fault) -> int:
    Path(fault.folder).mkdir()
    command = [sys.executable, "-c", SCRIPT, fault.folder]
    variables = {**os.environ, **environment(fault), "LD_PRELOAD": str(library())}
    done = subprocess.run(command, cwd=CHECKOUT, env=variables, capture_output=True, text=True)
    assert not done.stderr, done.stderr
    return done.returncode


@pytest.fixture
def calls(tmp_path: Path) -> list[Point]:
    trace, folder = tmp_path / "trace", tmp_path / "undisturbed"
    assert disturbed(Fault(str(folder), trace=str(trace))) == 0
    return points(trace, folder)


def lines_at_fsyncs(calls: list[Point]) -> list[int]:
    """Return how many lines each fsync of the journal file has on the disk; none at first."""
    of_file = [point.call for point in calls if "/shard-" in point.path]
    fsyncs = [place for place, call in enumerate(of_file) if call == Call.fsync]
    header = 1
    return [of_file[:place].count(Call.write) - header for place in fsyncs]


def test_power_cut_takes_what_was_not_worth_an_fsync(
    calls: list[Point], tmp_path: Path, ledger: Ledger
) -> None:
    assert lines_at_fsyncs(calls) == SYNCED
    step = 1 if ledger.full else len(calls) // SAMPLE
    for point in calls[::step]:
        folder = tmp_path / f"{point.number}"
        on_disk = max([0, *lines_at_fsyncs(calls[: point.number - 1])])
        with ledger.case("syscall points: shared fsyncs", f"power cut at {point}") as case:
            fault = Fault(str(folder), number=point.number, action=Action.power_cut)
            assert disturbed(fault) == -signal.SIGKILL
            assert [entry.clip for entry in journal_in(folder).entries()] == CLIPS[:on_disk]
            again: list[str] = []
            work(folder, again.append)
            assert again == CLIPS[on_disk:]
            damage = Damage()
            case.clips(CLIPS, [entry.clip for entry in journal_in(folder).entries(damage)])
            assert damage == Damage()
