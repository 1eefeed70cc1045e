"""What the tests of small disturbed runs share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.undisturbed import Scenarios
from tests.support.http_server import ScriptedServer

CHUNKS = 8
"""Tests that share the cases of a scenario under ``--crash=full``."""


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
