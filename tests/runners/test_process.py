"""Which pipeline gets how many processes, and that none of them outlives a run."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import sys
import threading
from multiprocessing import get_context

import pytest
from kedro.io import DataCatalog, MemoryDataset

from k150k_pipeline import pipeline_registry
from k150k_pipeline.cores import usable_cores
from k150k_pipeline.errors import InputError
from k150k_pipeline.runners.pool import exit_code
from k150k_pipeline.runners.process import ProcessRunner, worker_limits
from k150k_pipeline.schemas.fr_parameters import FrParameters
from k150k_pipeline.schemas.ingest import IngestParameters
from k150k_pipeline.schemas.parameters import ExtractParameters
from tests.conftest import CHECKOUT
from tests.runners.work import events
from tests.support.victim import Victim
from tests.support.waiting import HANG_GUARD_S


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Return a function that starts a scenario; what a failed test leaves running is killed."""
    paths = (str(CHECKOUT), os.environ.get("PYTHONPATH"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    runs = []

    def run(scenario: str) -> Victim:
        command = [sys.executable, "-m", "tests.runners.work", scenario, str(tmp_path)]
        runs.append(Victim.start(command, tmp_path))
        return runs[-1]

    yield run
    for victim in runs:
        for process in victim.family():
            process.kill()


def most_at_once(seen: list[str], what: str) -> int:
    steps = ({f"+{what}": 1, f"-{what}": -1}.get(event, 0) for event in seen)
    return max(itertools.accumulate(steps))


def limits(name: str, max_workers: int | None = None, **blocks) -> dict[str, int]:
    catalog = DataCatalog({f"params:{n}": MemoryDataset(b) for n, b in blocks.items()})
    pipeline = pipeline_registry.register_pipelines()[name]
    return worker_limits(pipeline, catalog, max_workers, usable_cores())


def test_each_pipeline_has_its_own_workers():
    blocks = {"ingest": IngestParameters(workers=16), "extract": ExtractParameters(workers=2)}
    assert limits("__default__", **blocks) == {"ingest": 16, "extract": 2}
    assert limits("extract", **blocks) == {"extract": 2}
    assert limits("fr_from_nr", fr_from_nr=FrParameters(workers=3)) == {"fr_from_nr": 3}


def test_a_pipeline_that_sets_no_workers_has_one_per_usable_core(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(6)))
    blocks = {"ingest": IngestParameters(), "extract": ExtractParameters(workers=2)}
    assert limits("__default__", **blocks) == {"ingest": 6, "extract": 2}
    assert limits("enrich", enrich=None) == {"enrich": 6}


def test_max_workers_caps_every_pipeline():
    blocks = {"ingest": IngestParameters(workers=16), "extract": ExtractParameters(workers=2)}
    assert limits("__default__", 5, **blocks) == {"ingest": 5, "extract": 2}
    assert limits("__default__", 1, **blocks) == {"ingest": 1, "extract": 1}
    most = usable_cores() + 3
    assert limits("extract", most, extract=ExtractParameters()) == {"extract": most}


@pytest.mark.parametrize("max_workers", [0, -1, "many", 2.5, True])
def test_what_is_no_number_of_processes_is_refused(max_workers):
    with pytest.raises(InputError, match="max_workers=4"):
        ProcessRunner(max_workers=max_workers)


def test_no_more_nodes_of_a_pipeline_run_at_once_than_it_has_workers(start, tmp_path):
    """Two of four processes are free meanwhile: the other pipeline's nodes run in them.

    Its second node is submitted when all four of the first pipeline are, so without a limit these
    would take every process, and it would never run.
    """
    run = start("limits")
    assert run.process.wait(HANG_GUARD_S) == 0
    seen = events(tmp_path)
    assert most_at_once(seen, "narrow") == 2
    assert seen.count("-narrow") == 4 and seen.count("-wide") == 2


@pytest.mark.parametrize(
    ("scenario", "error"),
    [
        pytest.param(
            *("die", "WorkerDiedError: a worker process died"), marks=pytest.mark.thorough
        ),
        pytest.param(
            *("die late", "WorkerDiedError: a worker process died"), marks=pytest.mark.thorough
        ),
        ("fail", "ValueError: no such luck"),
    ],
)
def test_first_failure_ends_the_run_though_nodes_run_and_wait(start, tmp_path, scenario, error):
    run = start(scenario)
    assert run.process.wait(HANG_GUARD_S) != 0
    assert events(tmp_path)[-1].startswith(error)
    assert "-hold" not in events(tmp_path)
    assert run.survivors() == []


def test_exit_code_is_known_though_another_thread_waits_for_the_process_too():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(60):
            process = get_context("fork").Process(target=signal.pause, daemon=True)
            process.start()
            waiting = threading.Thread(target=process.join)
            waiting.start()
            process.terminate()
            assert exit_code(process) == -signal.SIGTERM
            waiting.join()
    finally:
        sys.setswitchinterval(before)


@pytest.mark.sample(every=2)
@pytest.mark.parametrize("reach", [os.kill, os.killpg], ids=["parent alone", "whole group"])
def test_interrupt_kills_the_workers(start, tmp_path, reach):
    run = start("hold")
    assert run.reaches(lambda: events(tmp_path).count("+hold") == 2), run.output()
    reach(run.process.pid, signal.SIGINT)
    assert run.process.wait(HANG_GUARD_S) != 0
    assert events(tmp_path) == ["+hold", "+hold", "KeyboardInterrupt: "]
    assert run.survivors() == []


def test_killed_parent_leaves_no_process(start, tmp_path):
    run = start("hold")
    assert run.reaches(lambda: events(tmp_path).count("+hold") == 2), run.output()
    assert len(run.family()) >= 4, "the run, its manager and two workers"
    run.kill(whole_tree=False)
    assert run.survivors() == []
    assert events(tmp_path) == ["+hold", "+hold"]


def test_interrupt_while_the_manager_ends_is_no_traceback(monkeypatch):
    runner = ProcessRunner()
    manager, end, seen = runner._manager, runner._manager.shutdown, []

    def interrupted() -> None:
        raise KeyboardInterrupt

    manager.shutdown = interrupted
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    del runner
    gc.collect()
    end()
    assert seen == []
