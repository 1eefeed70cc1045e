"""Workers of a cluster die or are cut off: nothing lost, nothing twice, the run ends by itself."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Project, copy_project
from tests.support.cluster import Lab, WorkerHost, node_processes
from tests.support.journals import journaled
from tests.support.ledger import Case, Ledger
from tests.support.waiting import DEATH_GUARD_S, comes_true, wait_until

CUT_S = 20.0
KILLS = 10
CUTS = 5
_JITTER_S = 0.1

pytestmark = [pytest.mark.serial, pytest.mark.thorough]


@pytest.fixture(scope="module")
def original(tmp_path_factory, tiny_clips) -> Project:
    """Return a project with many clips, one of which is cut off, and a finished local run."""
    root = tmp_path_factory.mktemp("cluster") / "project"
    root.mkdir()
    project = Project(copy_project(root))
    names = project.add_clips(tiny_clips, copies=6)
    broken = project.clips / names[5]
    whole = broken.read_bytes()
    broken.unlink()
    broken.write_bytes(whole[:-200])
    project.run()
    return project


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    """Return a cluster whose scheduler gives up a shard at the first loss of its worker."""
    with Lab.opened(tmp_path_factory.mktemp("lab"), losses=0) as lab:
        yield lab


def outputs(project: Project, first_run: bool = True) -> dict[str, bytes]:
    """Return what outputs hold; a second run tries the broken clip again, and counts that."""
    files = [project.features, project.done, *([project.failures] if first_run else [])]
    return {path.name: path.read_bytes().replace(bytes(project.root), b"ROOT") for path in files}


def fresh(original: Project, folder: Path) -> Project:
    """Return a copy of a project as it was before its run."""
    root = folder / "project"
    shutil.rmtree(root, ignore_errors=True)
    ignored = shutil.ignore_patterns("02_intermediate", "04_feature", "08_reporting")
    shutil.copytree(original.root, root, ignore=ignored)
    return Project(root)


def check_end(case: Case, project: Project, original: Project, run, first_run: bool = True) -> None:
    status = run.wait()
    case.read(run.output())
    assert status == 0, run.output()
    assert outputs(project, first_run) == outputs(original, first_run), run.output()
    assert comes_true(lambda: not node_processes(project.root), DEATH_GUARD_S)


def kill(worker: WorkerHost, number: int) -> None:
    worker.kill_worker() if number % 2 else worker.kill_host()


def reach(project: Project, lines: int, run) -> None:
    """Wait until the journal has so many lines while workers run shards, or the run has ended."""
    wait_until(
        lambda: (
            (journaled(project.journal).total() >= lines and bool(node_processes(project.root)))
            or run.poll() is not None
        )
    )


def test_killed_workers(original, lab, tmp_path, ledger: Ledger):
    """In turn, a host dies for good, and a worker dies whose nanny starts another one."""
    draw, clips = random.Random("killed workers"), sorted(p.name for p in original.clips.iterdir())
    for number in range(KILLS):
        project = fresh(original, tmp_path)
        for worker in lab.workers:
            worker.ensure()
        with ledger.case("workers of a cluster: killed", f"kill {number}") as case:
            run = lab.server.start(project.extract(*lab.runner), project.root)
            reach(project, draw.randrange(len(clips)), run)
            time.sleep(draw.uniform(0, _JITTER_S))
            kill(draw.choice(lab.workers), number)
            check_end(case, project, original, run)
            case.clips(clips, journaled(project.journal).elements())


@pytest.mark.parametrize(("timeout_s", "cuts"), [(12, CUTS - 2), (30, 2)])
def test_workers_that_are_cut_off(original, tmp_path, ledger: Ledger, timeout_s, cuts):
    """The cut is longer than scheduler and worker wait for each other, and shorter.

    A worker that is cut off goes on with its shard, and the disk that all share has its lines too.
    If the cut is long, it ends by itself when it notices.
    """
    draw, clips = random.Random("cut off"), sorted(p.name for p in original.clips.iterdir())
    with Lab.opened(tmp_path, f"{timeout_s}s") as lab:
        for number in range(cuts):
            project = fresh(original, tmp_path)
            for worker in lab.workers:
                worker.ensure()
            with ledger.case("workers of a cluster: cut off", f"{timeout_s} s, {number}") as case:
                run = lab.server.start(project.extract(*lab.runner), project.root)
                reach(project, draw.randrange(len(clips)), run)
                worker = draw.choice(lab.workers)
                worker.host.cut()
                time.sleep(CUT_S)
                worker.host.mend()
                check_end(case, project, original, run)
                assert set(journaled(project.journal)) == set(clips)
                case.clips(clips, [*project.table()["clip_name"], clips[5]])
                if timeout_s < CUT_S:
                    worker.wait_for_end()


def start(lab: Lab, project: Project):
    """Start a run on all workers, and return it when shards are in work."""
    for worker in lab.workers:
        worker.ensure()
    run = lab.server.start(project.extract(*lab.runner), project.root)
    reach(project, 3, run)
    return run


def finish(case: Case, lab: Lab, project: Project, original: Project) -> None:
    """Run the same command again and compare its outputs."""
    for worker in lab.workers:
        worker.ensure()
    run = lab.server.start(project.extract(*lab.runner), project.root)
    check_end(case, project, original, run, first_run=False)


def test_interrupt_ends_what_the_workers_do_before_the_run_ends(original, lab, tmp_path, ledger):
    project = fresh(original, tmp_path)
    with ledger.case("workers of a cluster: client stopped", "SIGINT") as case:
        run = start(lab, project)
        os.kill(run.pid, signal.SIGINT)
        status, left = run.wait(), node_processes(project.root)
        case.read(run.output())
        assert (status, left) == (128 + signal.SIGINT, []), run.output()
        assert "Stopped" in run.output() and "are kept" in run.output()
        assert len(read_lines(project)) < len(list(project.clips.iterdir()))
        finish(case, lab, project, original)


def test_client_that_is_killed_leaves_nobody_at_work(original, lab, tmp_path, ledger):
    project = fresh(original, tmp_path)
    with ledger.case("workers of a cluster: client stopped", "SIGKILL") as case:
        run = start(lab, project)
        second = lab.server.start(project.extract(*lab.runner), project.root)
        assert second.wait() == 1 and "another run is working" in second.output()
        os.kill(run.pid, signal.SIGKILL)
        assert comes_true(lambda: not node_processes(project.root), DEATH_GUARD_S)
        finish(case, lab, project, original)


def test_scheduler_that_is_killed_ends_the_run_with_a_sentence(original, tmp_path, ledger):
    project = fresh(original, tmp_path)
    with ledger.case("workers of a cluster: scheduler killed", "SIGKILL") as case:
        with Lab.opened(tmp_path) as lab:
            run = start(lab, project)
            os.killpg(lab.scheduler.pid, signal.SIGKILL)
            assert run.wait() == 1, run.output()
            case.read(run.output())
            assert "connection to the scheduler was lost" in run.output()
            assert comes_true(lambda: not node_processes(project.root), DEATH_GUARD_S)
            for worker in lab.workers:
                worker.wait_for_end()
        project.run()
        assert outputs(project, first_run=False) == outputs(original, first_run=False)


def read_lines(project: Project) -> list[str]:
    return list(journaled(project.journal).elements())
