"""Every system call of a small run by which it changes files: a kill or an error there, and again.

After a kill no wrong output is there. After the same command again, each file holds what it holds
after a run that nothing disturbs, no other file is there, and no clip has two rows.
"""

from __future__ import annotations

import errno
import random
import re
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest

from tests.crash.conftest import CHUNKS, sampled
from tests.crash.undisturbed import SCENARIOS, Place, Scenarios, Undisturbed
from tests.support.faults import (
    Action,
    Call,
    Fault,
    Point,
    environment,
    fault_server,
    library,
    points,
)
from tests.support.kedro_server import kedro_server
from tests.support.ledger import Ledger

T = TypeVar("T")

SAMPLE = {"extract": 2, "fr_from_nr": 2}
"""Kills that are tried without ``--crash=full``, by scenario."""

PAIRS = 2
"""Runs of a chunk that are killed once more when they resume."""

EVERY_WRITE = 16
"""Of the many writes of one file in a row, each 16th is a point, and the first and the last."""

FIGURE = re.compile(r"_figures/\.?(\w+)\.json")

DISK_CALLS = Call.open | Call.write | Call.fsync | Call.rename | Call.mkdir | Call.truncate
"""Calls that fail on a full or broken disk."""

KILLS = (Action.power_cut, Action.kill_before, Action.kill_after)

ERRORS = (
    (Action.fail_once, errno.EIO),
    (Action.fail_on, errno.ENOSPC),
    (Action.fail_once, errno.ENOSPC),
    (Action.fail_on, errno.EIO),
)


@dataclass(frozen=True)
class Traced:
    """A scenario and its calls.

    Attributes:
        run: The scenario, run undisturbed.
        calls: Its calls, each the place of a kill.
        disk_calls: Those that can fail, with their numbers among themselves.
    """

    run: Undisturbed
    calls: list[Point]
    disk_calls: list[Point]


@pytest.fixture(scope="session")
def traced(scenarios: Scenarios) -> dict[str, Traced]:
    """Return the scenarios that have been traced so far."""
    return {}


@pytest.fixture
def scenario(name: str, scenarios: Scenarios, traced: dict[str, Traced]) -> Traced:
    """Return the scenario of a test and its calls."""
    if name not in traced:
        traced[name] = trace(scenarios.get(name))
    return traced[name]


def trace(run: Undisturbed) -> Traced:
    """Return a scenario and its calls; all kinds that matter are among them."""
    library()  # else there is no trace
    calls = points(run.trace, run.scratch / "undisturbed")
    assert {Call.open, Call.write, Call.fsync, Call.rename} <= {point.call for point in calls}
    can_fail = (point for point in calls if point.call in DISK_CALLS)
    numbered = [replace(point, number=number) for number, point in enumerate(can_fail, start=1)]
    tried, failing = (without_repeats(of_one_figure(each)) for each in (calls, numbered))
    return Traced(run, tried, failing)


def of_one_figure(calls: list[Point]) -> list[Point]:
    """Leave out the calls of all figures of a page but the first; all are written alike."""
    names = [match[1] if (match := FIGURE.search(point.path)) else "" for point in calls]
    first = next((name for name in names if name), "")
    return [point for point, name in zip(calls, names, strict=True) if name in ("", first)]


def without_repeats(calls: list[Point]) -> list[Point]:
    """Leave out most of the writes of one file in a row."""
    kept, before = [], 0
    for earlier, point, later in zip([None, *calls], calls, [*calls[1:], None], strict=False):
        before = before + 1 if alike(earlier, point) else 0
        if point.call != Call.write or before % EVERY_WRITE == 0 or not alike(point, later):
            kept.append(point)
    return kept


def alike(one: Point | None, other: Point | None) -> bool:
    return bool(one and other) and replace(one, number=0) == replace(other, number=0)


def disturb(run: Undisturbed, fault: Fault) -> tuple[int, str]:
    """Run a scenario with a fault in the fault's folder; return exit status and output."""
    return run.run(fault_server(), Path(fault.folder), **environment(fault))


def kill_at(point: Point) -> Action:
    """Return the way to kill a run at a call; a kill after it is one before the next call."""
    if point.call == Call.write and point.number % 2:
        return Action.tear
    return KILLS[point.number % len(KILLS)]


def share(cases: list[T], chunk: int, sample: int, ledger: Ledger) -> list[T]:
    """Return the cases of a chunk, or a sample that is drawn from all."""
    if ledger.full:
        return cases[chunk::CHUNKS]
    return random.Random(len(cases)).sample(cases, sample)


@pytest.mark.parametrize("name", sampled(SCENARIOS, SAMPLE))
def test_kill_at_every_call(scenario: Traced, ledger: Ledger, name: str, chunk: int) -> None:
    run = scenario.run
    for point in share(scenario.calls, chunk, SAMPLE.get(name, 0), ledger):
        action = kill_at(point)
        place = Place.here(run.copy("killed"))
        title = f"{action.name} at {point.number} {point.call.name} {point.path}"
        with ledger.case(f"syscall points: {run.scenario.name}", title) as case:
            fault = Fault(str(place.root), number=point.number, action=action)
            status, output = disturb(run, fault)
            assert status == -signal.SIGKILL, f"ended with {status}: {output}"
            run.check_remains(case, place)
            run.finish(case, kedro_server(), place)


@pytest.mark.thorough
@pytest.mark.parametrize("name", SCENARIOS)
def test_kill_of_the_run_that_resumes(
    scenario: Traced, ledger: Ledger, name: str, chunk: int
) -> None:
    run, draw = scenario.run, random.Random(f"{name} {chunk}")
    for _ in range(PAIRS):
        place = Place.here(run.copy("killed"))
        numbers = [draw.choice(scenario.calls).number for _ in range(2)]
        with ledger.case(f"syscall points: {run.scenario.name}", f"kills at {numbers}") as case:
            for number in numbers:
                action = draw.choice([Action.kill_before, Action.tear, Action.power_cut])
                status, output = disturb(run, Fault(str(place.root), number=number, action=action))
                # A run that resumes has fewer calls, and may end before that number.
                assert status in (-signal.SIGKILL, 0), output
                run.check_remains(case, place)
            run.finish(case, kedro_server(), place)


def errors_at(calls: list[Point]) -> list[tuple[Point, Action, int]]:
    """Return an error for every third call, each kind of error in turn."""
    return [(point, *ERRORS[i % len(ERRORS)]) for i, point in enumerate(calls[::3])]


@pytest.mark.parametrize("name", sampled(SCENARIOS, ["fr_from_nr"]))
def test_error_of_every_third_call(scenario: Traced, ledger: Ledger, name: str, chunk: int) -> None:
    run = scenario.run
    for point, action, error in share(errors_at(scenario.disk_calls), chunk, 1, ledger):
        place = Place.here(run.copy("failed"))
        title = f"{name}: {action.name} at {point.number} {point.call.name} {point.path}"
        with ledger.case(f"disk errors: {errno.errorcode[error]}", title) as case:
            fault = Fault(str(place.root), DISK_CALLS, point.number, action, error)
            status, output = disturb(run, fault)
            run.check_end(case, place, status, output)
            run.finish(case, kedro_server(), place)


@pytest.mark.parametrize("name", sampled(["takeover"], []))
def test_kill_while_rows_are_taken_over_leaves_no_file(scenario: Traced, ledger: Ledger) -> None:
    run = scenario.run
    point = next(p for p in scenario.calls if p.call == Call.rename and "shard-legacy" in p.path)
    place = Place.here(run.copy("killed"))
    with ledger.case(f"syscall points: {run.scenario.name}", "kill before the rename") as case:
        fault = Fault(str(place.root), number=point.number, action=Action.kill_before)
        assert disturb(run, fault)[0] == -signal.SIGKILL
        assert list((place.root / run.scenario.journal).glob(".shard-legacy-*.tmp"))
        run.finish(case, kedro_server(), place)
