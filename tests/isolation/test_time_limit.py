"""A time limit counts the time in which this process runs, by a clock of the test's."""

from __future__ import annotations

import time

import pytest

from k150k_pipeline.isolation.time_limit import TURN_S, TimeLimit


class Clock:
    """A clock that goes on only as the test says."""

    def __init__(self) -> None:
        self.now = 1e6

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def turns(limit, clock) -> list[float]:
    """Wait in turns to the end, and return how long each was."""
    lasted = []
    while turn := limit.turn():
        clock.now += turn
        lasted.append(turn)
    return lasted


@pytest.mark.parametrize("seconds", [0.25, 1.0, 2.5, 60.0])
def test_turns_last_as_long_as_the_limit(clock, seconds):
    lasted = turns(TimeLimit(seconds), clock)
    assert sum(lasted) == pytest.approx(seconds) and max(lasted) <= TURN_S


@pytest.mark.parametrize("pauses", [1, 5])
def test_a_suspended_process_loses_a_turn_at_most(clock, pauses):
    limit = TimeLimit(20.0)
    for _ in range(pauses):
        limit.turn()
        clock.now += 7200
    assert sum(turns(limit, clock)) == pytest.approx(20.0 - pauses * TURN_S)


def test_nothing_is_left_after_the_limit(clock):
    limit = TimeLimit(0.5)
    clock.now += 0.5
    assert [limit.turn(), limit.turn()] == [0.0, 0.0]
