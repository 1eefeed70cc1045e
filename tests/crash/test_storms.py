"""Signals of every kind at every process of a run: it ends as it should, and nothing is lost."""

from __future__ import annotations

import itertools
import signal

import pytest

from tests.support.ledger import Case
from tests.support.storms import STORMS, TARGETS, Job, check_journal, end_held, send
from tests.support.victim import Victim
from tests.support.waiting import HANG_GUARD_S

ROUNDS = (("extract", 0), ("extract", 2), ("extract", 4), ("ingest", 0), ("fr_from_nr", 0))
"""Each is the whole grid on a pipeline, where a number of clips is done before the signal comes."""

SAMPLE = {
    ("extract", 0): (("everyone", "SIGTERM"),),
}
STOPPING = {"SIGTERM", "SIGINT", "SIGINT twice", "SIGHUP"}
ENDED_AS_A_WHOLE = {"parent", "group", "everyone"}


@pytest.mark.parametrize(
    ("kind", "done"),
    [r if r in SAMPLE else pytest.param(*r, marks=pytest.mark.thorough) for r in ROUNDS],
)
def test_storms(project, ledger, monkeypatch, kind, done):
    job = Job(project, kind)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(job.ffmpeg))
    job.run()
    expected = job.result()
    grid = itertools.product(TARGETS, STORMS) if ledger.full else SAMPLE[kind, done]
    for target, storm in grid:
        with ledger.case(f"kills: {kind}", f"{storm} at {target}, {done} done") as case:
            weather(job, case, target, storm, done)
            job.run()
            case.clips(job.names, [r["clip"] for r in job.lines() if r["status"] == "ok"])
            assert job.result() == expected


def weather(job: Job, case: Case, target: str, storm: str, done: int) -> None:
    """Let a signal hit a run that is at the held clip and has done a few others."""
    job.hold()
    victim = Victim.fork(job.arguments(workers=2 if done else 1), job.project.root)
    try:
        ready = victim.reaches(lambda: job.is_held(victim) and len(list(job.lines())) >= done)
        assert ready, f"ended before the signal: {victim.output()}"
        job.release()
        send(victim, target, STORMS[storm])
        if goes_on(target, storm):
            end_held(victim, target)
        status = victim.process.wait(HANG_GUARD_S)
        assert victim.survivors() == []
    finally:
        victim.kill()
    output = victim.output()
    case.read(output)
    check_end(target, storm, status, output)
    check_journal(job)


def goes_on(target: str, storm: str) -> bool:
    """Return whether the run goes on: children ignore Ctrl-C, and no clip needs a manager."""
    if target == "manager":
        return True
    return storm.startswith("SIGINT") and target not in ENDED_AS_A_WHOLE


def check_end(target: str, storm: str, status: int, output: str) -> None:
    """Check exit status and last line."""
    number = STORMS[storm][0]
    if target in ENDED_AS_A_WHOLE:
        assert status == (128 + number if storm in STOPPING else -number), output
        by = "" if number == signal.SIGINT else f" by {number.name}"
        if storm in STOPPING - {"SIGINT twice"}:
            assert output.count("Stopped") == 1 and f"Stopped{by}" in output, output
    elif target == "worker" and not goes_on(target, storm):
        assert status == 1 and "1 clips have no row because" in output, output
    else:
        assert status == 0, output
