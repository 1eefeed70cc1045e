"""Runs that nothing disturbs, and the comparison of what a disturbed run leaves with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.crash.scenarios import (
    PROGRESS,
    Scenario,
    Snapshot,
    file_names,
    journaled_well,
    make_download,
    make_extract,
    make_fr_from_nr,
    make_ingest,
    make_takeover,
    snapshot,
)
from tests.support.faults import Fault, environment, fault_server, find_compiler
from tests.support.http_server import ScriptedServer
from tests.support.kedro_server import ForkedKedro, KedroServer, kedro_server
from tests.support.ledger import Case


@dataclass(frozen=True)
class Place:
    """A project as its runs see it, and as this process does, for which it may be elsewhere.

    Attributes:
        root: Path of the project for a run.
        seen: Its path for this process.
    """

    root: Path
    seen: Path

    @classmethod
    def here(cls, root: Path) -> Place:
        """Return a project that both see at one path."""
        return cls(root, root)


@dataclass(frozen=True)
class Undisturbed:
    """A scenario, and what a run that nothing disturbs makes of it.

    Attributes:
        scenario: The scenario.
        before: What is there before the run.
        after: What is there after it.
        names: Names of the files after it.
        scratch: Folder for copies.
        trace: The list of its calls, if this machine can make it.
    """

    scenario: Scenario
    before: Snapshot
    after: Snapshot
    names: set[str]
    scratch: Path
    trace: Path

    def copy(self, name: str) -> Path:
        """Return a fresh copy of the project."""
        return self.scenario.copy(self.scratch / name)

    def run(self, server: KedroServer, root: Path, **environment: str) -> tuple[int, str]:
        """Run the scenario; return exit status and output."""
        call = server.start(self.scenario.arguments, root, environment)
        return call.wait(), call.output()

    def check_remains(self, case: Case, place: Place) -> None:
        """Check that each file of a run that did not end well is the old one or the whole new one.

        The download-progress file may have some of its entries, because it is written again and
        again.

        Args:
            case: Notes what is wrong.
            place: The project.
        """
        for name, content in snapshot(place.seen, place.root).items():
            allowed = [side[name] for side in (self.before, self.after) if name in side]
            part = name.endswith(PROGRESS) and content.items() <= self.after[name].items()
            if content not in allowed and not part:
                case.fault("wrong", f"{name} is neither old nor whole: {str(content)[:300]}")

    def check_result(self, case: Case, place: Place) -> None:
        """Check that all is there as an undisturbed run leaves it, and nothing else.

        Args:
            case: Notes what is wrong.
            place: The project.
        """
        after = snapshot(place.seen, place.root)
        if differing := [n for n in self.after if after.get(n) != self.after[n]]:
            found = str(after.get(differing[0]))[:500]
            case.fault("wrong", f"other bytes in {differing}: {found}")
        if strays := file_names(place.seen) - self.names:
            case.fault("wrong", f"stray files: {sorted(strays)}")
        journal = place.seen / self.scenario.journal
        case.clips(self.scenario.clips, journaled_well(journal).elements())
        _check_manifests(place.seen)

    def check_end(self, case: Case, place: Place, status: int, output: str) -> None:
        """Check a run that met an error: it ends with a sentence, or well and with a whole result.

        Args:
            case: Notes what is wrong.
            place: The project.
            status: Exit status.
            output: What the run has written.
        """
        case.read(output)
        assert status >= 0, f"ended by signal {-status}: {output}"
        if status == 0:
            self.check_result(case, place)
        else:
            sentences = [line for line in output.splitlines() if line.startswith("Error: ")]
            assert len(sentences) == 1, output
            self.check_remains(case, place)

    def finish(self, case: Case, server: KedroServer, place: Place) -> None:
        """Run the same command again and check its result.

        Args:
            case: Notes what is wrong.
            server: Runs the command.
            place: The project.
        """
        status, output = self.run(server, place.root)
        case.read(output)
        assert status == 0, output
        self.check_result(case, place)


def _check_manifests(root: Path) -> None:
    """Check that each corpus is the one that its manifest is of."""
    for path in (root / "data").rglob("*.jsonl.manifest.json"):
        if isinstance(output := json.loads(path.read_text())["output"], dict):
            corpus = path.with_name(path.name.removesuffix(".manifest.json"))
            assert hashlib.sha256(corpus.read_bytes()).hexdigest() == output["sha256"]


SCENARIOS = ("extract", "takeover", "ingest", "download", "fr_from_nr")


class Scenarios:
    """The scenarios of a test process, made when they are asked for.

    Args:
        folder: Folder for their projects.
        http: Serves the clips that are downloaded.
    """

    def __init__(self, folder: Path, http: ScriptedServer) -> None:
        self._folder = folder
        self._makers: dict[str, Callable[[Path], Scenario]] = {
            "extract": make_extract,
            "takeover": make_takeover,
            "ingest": make_ingest,
            "download": lambda root: make_download(root, http),
            "fr_from_nr": make_fr_from_nr,
        }
        self._made: dict[str, Undisturbed] = {}

    def get(self, name: str) -> Undisturbed:
        """Return a scenario after an undisturbed run."""
        if name not in self._made:
            folder = self._folder / name
            folder.mkdir()
            scenario = self._makers[name](folder / "project")
            self._made[name] = self._run(scenario, folder)
        return self._made[name]

    def _run(self, scenario: Scenario, scratch: Path) -> Undisturbed:
        root, trace = scenario.copy(scratch / "undisturbed"), scratch / "trace"
        before = snapshot(scenario.root)
        call = _start_traced(scenario, root, trace)
        assert call.wait() == 0, call.output()
        return Undisturbed(scenario, before, snapshot(root), file_names(root), scratch, trace)


def _start_traced(scenario: Scenario, root: Path, trace: Path) -> ForkedKedro:
    if find_compiler() is None:
        return kedro_server().start(scenario.arguments, root)
    variables = environment(Fault(str(root), trace=str(trace)))
    return fault_server().start(scenario.arguments, root, variables)
