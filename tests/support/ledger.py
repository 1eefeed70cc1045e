"""The table of the crash tests: what was tried, and what was lost, doubled, wrong, hung or raw.

``--crash=full`` makes the crash tests try all that they can; without it they try a sample. The
table is printed at the end of a test run that has crash tests in it, also under pytest-xdist.
"""

from __future__ import annotations

import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

import pytest

_KILLS = {"fast": 2, "full": 30}
FAULTS = ("lost", "doubled", "wrong", "hung", "traceback")
COLUMNS = ("tried", *FAULTS)

_PROPERTY = "ledger"
_HANGS = (TimeoutError, subprocess.TimeoutExpired)


class Case:
    """One thing tried; as a context manager it turns an exception into a fault and goes on.

    A failed assertion is ``wrong``, a timeout ``hung``.
    """

    def __init__(self, ledger: Ledger, kind: str, name: str) -> None:
        self._ledger, self._kind, self._name = ledger, kind, name

    def __enter__(self) -> Case:
        self._ledger.rows[self._kind]["tried"] += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            self.fault("hung" if isinstance(error, _HANGS) else "wrong", f"{kind}: {error}")
        return isinstance(error, Exception)

    def fault(self, column: str, detail: str, count: int = 1) -> None:
        """Note a fault; the test fails at its end and names it."""
        assert column in FAULTS
        self._ledger.rows[self._kind][column] += count
        self._ledger.findings.append(f"{self._kind}: {self._name}: {column}: {detail}")

    def clips(self, expected: Iterable[str], found: Iterable[str]) -> None:
        """Note the clips that are lost, and those that are there twice."""
        seen = Counter(found)
        if lost := [clip for clip in expected if clip not in seen]:
            self.fault("lost", ", ".join(lost), len(lost))
        if doubled := [clip for clip, count in seen.items() if count > 1]:
            self.fault("doubled", ", ".join(doubled), len(doubled))

    def read(self, output: str) -> None:
        """Note a traceback in what a run has written."""
        if "Traceback" in output:
            self.fault("traceback", output)


class Ledger:
    """Counts of one test, by kind of what is tried.

    Attributes:
        full: Whether to try everything; else a sample that takes seconds.
        rows: Counts by kind and column.
        findings: One message per fault.
    """

    def __init__(self, full: bool) -> None:
        self.full = full
        self.rows: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.findings: list[str] = []

    def kills(self) -> int:
        """Return how many kills a test spreads over its runs."""
        return _KILLS["full" if self.full else "fast"]

    def case(self, kind: str, name: str) -> Case:
        """Return a case of a kind; the name tells it from others in the message of a fault."""
        return Case(self, kind, name)


def add_option(parser: pytest.Parser) -> None:
    """Add ``--crash`` to pytest's options."""
    parser.addoption(
        "--crash",
        choices=("fast", "full"),
        default="fast",
        help="how much the crash tests try: a sample of seconds, or everything",
    )


def pass_over_thorough(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Skip the tests marked ``thorough`` unless everything is to be tried.

    Of the cases of a test marked ``sample(every=N)``, all but each N-th are thorough.
    """
    cases: Counter[str] = Counter()
    for item in items:
        if mark := item.get_closest_marker("sample"):
            test = item.nodeid.partition("[")[0]
            if cases[test] % mark.kwargs["every"]:
                item.add_marker(pytest.mark.thorough)
            cases[test] += 1
    if not _is_full(config):
        for item in items:
            if item.get_closest_marker("thorough"):
                target = "crash" if item.get_closest_marker("crash") else "thorough"
                item.add_marker(pytest.mark.skip(reason=f"make {target} runs it"))


def _is_full(config: pytest.Config) -> bool:
    return bool(config.getoption("--crash") == "full")


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """Return the counts of this test; the test fails at its end if there is any fault."""
    counts = Ledger(_is_full(request.config))
    yield counts
    rows = {kind: dict(row) for kind, row in counts.rows.items()}
    request.node.user_properties.append((_PROPERTY, rows))
    if counts.findings:
        pytest.fail("\n".join(counts.findings), pytrace=False)


def print_table(reporter: Any) -> None:
    """Print the sums over all tests that have a ledger, one line per kind."""
    total: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for report in (r for reports in reporter.stats.values() for r in reports):
        if getattr(report, "when", None) == "teardown":
            for name, rows in report.user_properties:
                for kind, row in rows.items() if name == _PROPERTY else ():
                    total[kind].update(row)
    if total:
        reporter.section("crash tests")
        reporter.write_line(_line("kind", COLUMNS))
        for kind in sorted(total):
            reporter.write_line(_line(kind, [total[kind][column] for column in COLUMNS]))
        sums = [sum(row[column] for row in total.values()) for column in COLUMNS]
        reporter.write_line(_line("all", sums))


def _line(kind: str, cells: Iterable[object]) -> str:
    return f"{kind:44s}" + "".join(f"{cell!s:>11}" for cell in cells)
