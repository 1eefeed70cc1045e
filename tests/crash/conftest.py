"""What the tests of small disturbed runs share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import pytest

from tests.crash.undisturbed import Scenarios
from tests.support.http_server import ScriptedServer

CHUNKS = 8
"""Tests that share the cases of a scenario under ``--crash=full``."""


def some_rooms(needed: int) -> list[int]:
    """Return numbers of free pages to try: each small one, then each 256th.

    Most pages are those of the report page, whose writes are alike.
    """
    return [*range(min(needed, 24)), *range(24, needed, 256)]


def sampled(names: Iterable[str], sample: Collection[str]) -> list[object]:
    """Return parameters of which those outside the sample are tried by ``make crash`` alone."""
    return [n if n in sample else pytest.param(n, marks=pytest.mark.thorough) for n in names]


@pytest.fixture(scope="session")
def scenarios(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenarios]:
    """Return the scenarios, each made once in a test process."""
    with ScriptedServer() as http:
        yield Scenarios(tmp_path_factory.mktemp("scenarios"), http)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Divide the cases of a test that has a ``chunk`` among several tests."""
    if "chunk" in metafunc.fixturenames:
        full = metafunc.config.getoption("--crash") == "full"
        metafunc.parametrize("chunk", range(CHUNKS if full else 1))
