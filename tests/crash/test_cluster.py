"""Workers of a cluster die or are cut off: nothing lost, nothing twice, the run ends by itself."""

from __future__ import annotations

import random
import shutil
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

pytestmark = [pytest.mark.serial, pytest.mark.crash]


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
    with Lab.opened(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def outputs(project: Project) -> dict[str, bytes]:
    files = (project.features, project.done, project.failures)
    return {path.name: path.read_bytes().replace(bytes(project.root), b"ROOT") for path in files}


def fresh(original: Project, folder: Path) -> Project:
    """Return a copy of a project as it was before its run."""
    root = folder / "project"
    shutil.rmtree(root, ignore_errors=True)
    ignored = shutil.ignore_patterns("02_intermediate", "04_feature", "08_reporting")
    shutil.copytree(original.root, root, ignore=ignored)
    return Project(root)


def check_end(case: Case, project: Project, original: Project, run) -> None:
    status = run.wait()
    case.read(run.output())
    assert status == 0, run.output()
    assert outputs(project) == outputs(original), run.output()
    assert comes_true(lambda: not node_processes(project.root), DEATH_GUARD_S)


def kill(worker: WorkerHost, number: int) -> None:
    worker.kill_worker() if number % 2 else worker.kill_host()


def test_killed_workers(original, lab, tmp_path, ledger: Ledger):
    """In turn, a worker dies whose nanny starts another one, and a host dies for good."""
    draw, clips = random.Random("killed workers"), sorted(p.name for p in original.clips.iterdir())
    for number in range(KILLS if ledger.full else 1):
        project = fresh(original, tmp_path)
        for worker in lab.workers:
            worker.ensure()
        with ledger.case("workers of a cluster: killed", f"kill {number}") as case:
            run = lab.server.start(project.extract(*lab.runner), project.root)
            lines = draw.randrange(len(clips))
            wait_until(
                lambda p=project, n=lines, r=run: (
                    journaled(p.journal).total() >= n and bool(node_processes(p.root))
                ) or r.poll() is not None
            )  # fmt: skip
            time.sleep(draw.uniform(0, _JITTER_S))
            kill(draw.choice(lab.workers), number)
            check_end(case, project, original, run)
            case.clips(clips, journaled(project.journal).elements())


@pytest.mark.thorough
@pytest.mark.parametrize(("timeout", "cuts"), [("12s", CUTS - 2), ("30s", 2)])
def test_workers_that_are_cut_off(original, tmp_path, ledger: Ledger, timeout, cuts):
    """The cut is longer than the scheduler waits, and shorter.

    A worker that is cut off goes on with its shard, and the disk that all share has its lines too.
    """
    draw, clips = random.Random("cut off"), sorted(p.name for p in original.clips.iterdir())
    with Lab.opened(tmp_path, timeout) as lab:
        for number in range(cuts):
            project = fresh(original, tmp_path)
            for worker in lab.workers:
                worker.ensure()
            with ledger.case("workers of a cluster: cut off", f"{timeout}, {number}") as case:
                run = lab.server.start(project.extract(*lab.runner), project.root)
                lines = draw.randrange(len(clips))
                wait_until(lambda p=project, n=lines: journaled(p.journal).total() >= n)
                worker = draw.choice(lab.workers)
                worker.host.cut()
                time.sleep(CUT_S)
                worker.host.mend()
                check_end(case, project, original, run)
                assert set(journaled(project.journal)) == set(clips)
                case.clips(clips, [*project.table()["clip_name"], clips[5]])
