"""Signals of every kind at every process of a run: it ends as it should, and nothing is lost."""

from __future__ import annotations

import itertools
import signal
from collections import Counter

import pandas as pd
import pytest

from tests.support.ledger import Case, Ledger
from tests.support.storms import STORMS, TARGETS, Job, held_tools, send
from tests.support.victim import Victim
from tests.support.waiting import HANG_GUARD_S

ROUNDS = {"extract": 3, "ingest": 1, "fr_from_nr": 1}
"""How often the whole grid is tried; each time more clips are done when the signal comes."""

SAMPLE = {
    "extract": [("parent", "SIGTERM"), ("group", "SIGINT twice"), ("tool", "SIGTERM")],
    "ingest": [("manager", "SIGKILL")],
    "fr_from_nr": [],
}
STOPPING = {"SIGTERM", "SIGINT", "SIGINT twice", "SIGHUP"}
ENDED_AS_A_WHOLE = {"parent", "group", "everyone"}

pytestmark = pytest.mark.serial


@pytest.fixture
def job(project, request, monkeypatch):
    job = Job(project, request.param)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(job.ffmpeg))
    return job


def grid(ledger: Ledger, kind: str) -> list[tuple[int, str, str]]:
    if not ledger.full:
        return [(0, *sample) for sample in SAMPLE[kind]]
    return list(itertools.product(range(ROUNDS[kind]), TARGETS, STORMS))


@pytest.mark.parametrize("job", ROUNDS, indirect=True)
def test_storms(job, ledger):
    if not (cases := grid(ledger, job.kind)):
        pytest.skip("only in the full run")
    job.run()
    expected = job.result()
    for rounds, target, storm in cases:
        with ledger.case(f"kills: {job.kind}", f"{storm} at {target}, {rounds} done") as case:
            weather(job, case, target, storm, rounds * 2)
            job.run()
            case.clips(job.names, [r["clip"] for r in job.lines() if r["status"] == "ok"])
            assert job.result() == expected


def weather(job: Job, case: Case, target: str, storm: str, done: int) -> None:
    """Let a signal hit a run that is at the held clip and has done a few others."""
    job.hold()
    victim = Victim.fork(job.arguments(workers=2 if done else 1), job.project.root)
    try:
        ready = victim.reaches(lambda: held_tools(victim) and len(list(job.lines())) >= done)
        assert ready, f"ended before the signal: {victim.output()}"
        job.release()
        send(victim, target, STORMS[storm])
        if goes_on(target, storm):
            end_held(victim)
        status = victim.process.wait(HANG_GUARD_S)
        assert victim.survivors() == []
    finally:
        victim.kill()
    output = victim.output()
    case.read(output)
    check_end(target, storm, status, output)
    check_journal(job)


def goes_on(target: str, storm: str) -> bool:
    """Return whether the held tool goes on: children ignore Ctrl-C, and no clip needs a manager."""
    if target == "manager":
        return True
    return storm.startswith("SIGINT") and target not in ENDED_AS_A_WHOLE


def end_held(victim: Victim) -> None:
    """Kill the tool at the held clip, which is then done again at full speed."""
    (tool,) = held_tools(victim)
    tool.kill()


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


def check_journal(job: Job) -> None:
    """Check that each clip has one line at most, and that no signal is counted as an attempt."""
    records = list(job.lines())
    assert max(Counter(r["clip"] for r in records).values(), default=0) <= 1, records
    failed = [r for r in records if r["status"] == "failed"]
    assert all(r["reason"] == "killed" for r in failed), failed
    if job.failures.exists():
        assert set(pd.read_csv(job.failures)["attempts"]) <= {0}
