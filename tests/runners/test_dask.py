"""The DaskRunner on a scheduler and workers of its own: order, ends, refusals and resources."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed import Client, LocalCluster
from kedro.io import MemoryDataset, SharedMemoryDataCatalog
from kedro.pipeline import Pipeline, node, pipeline
from kedro.runner.task import Task

from k150k_pipeline import __version__
from k150k_pipeline.errors import ClusterError, InputError, WorkerDiedError
from k150k_pipeline.runners import DaskRunner
from k150k_pipeline.runners.cluster import ClusterPool
from tests.conftest import CHECKOUT
from tests.end_to_end.test_chain import drop
from tests.fr_from_nr.conftest import numbers
from tests.runners import work
from tests.runners.work import copies, events, record
from tests.support.cluster import RUNNER, node_processes, worker_command
from tests.support.journals import journaled
from tests.support.victim import Victim
from tests.support.waiting import DEATH_GUARD_S, HANG_GUARD_S, comes_true, wait_until

pytestmark = pytest.mark.serial


@contextlib.contextmanager
def cluster(workers: int = 2, threads: int = 1, **options) -> Iterator[LocalCluster]:
    """Make a scheduler and workers that are threads of this process, with addresses."""
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=threads,
        processes=False,
        host="127.0.0.1",
        protocol="tcp://",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        **options,
    ) as made:
        yield made


@pytest.fixture(scope="module")
def two_workers() -> Iterator[LocalCluster]:
    with cluster() as made:
        yield made


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Return a folder to work in, which tells this test's processes from others."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(nodes: Pipeline, folder: Path, address: str | None, **blocks) -> None:
    given = {"narrow": SimpleNamespace(workers=None), "wide": SimpleNamespace(workers=None)}
    data = {f"params:{name}": block for name, block in {**given, **blocks}.items()}
    used = {name: MemoryDataset(value) for name, value in data.items() if name in nodes.inputs()}
    catalog = SharedMemoryDataCatalog({"folder": MemoryDataset(folder), **used})
    DaskRunner(address, wait_s=HANG_GUARD_S).run(nodes, catalog)


def nobody_works(folder: Path) -> bool:
    return comes_true(lambda: not node_processes(folder), DEATH_GUARD_S)


@pytest.mark.parametrize(
    ("function", "error", "text"),
    [
        pytest.param(
            *(work.die, WorkerDiedError, "died 5 times on host .* signal SIGKILL"),
            marks=pytest.mark.thorough,
        ),
        (work.fail, ValueError, "no such luck"),
    ],
)
def test_first_failure_ends_the_run_though_nodes_run_and_wait(
    two_workers, folder, function, error, text
):
    nodes = copies(work.hold, 5, "narrow") + copies(function, 1, "wide")
    with pytest.raises(error, match=text):
        run(nodes, folder, two_workers.scheduler_address, narrow=SimpleNamespace(workers=1))
    assert events(folder) == ["+hold"] and nobody_works(folder)


@pytest.mark.thorough
def test_interrupt_ends_the_nodes_and_the_same_command_has_the_bytes_of_a_local_run(
    two_workers, project, tiny_clips
):
    project.add_clips(tiny_clips, copies=4)
    project.run()
    expected = project.features.read_bytes()
    shutil.rmtree(project.journal)
    project.features.unlink()
    project.done.unlink()
    options = RUNNER, f"--runner-params=address={two_workers.scheduler_address}"
    run = Victim.fork(project.extract(*options), project.root)
    assert run.reaches(lambda: journaled(project.journal).total() > 0), run.output()
    os.kill(run.pid, signal.SIGINT)
    assert run.process.wait() == 128 + signal.SIGINT
    assert node_processes(project.root) == []
    assert "Stopped" in run.output() and "Traceback" not in run.output()
    project.run(*options)
    assert project.features.read_bytes() == expected


@pytest.mark.thorough
def test_every_pipeline_writes_what_a_local_run_writes(two_workers, tmp_path, tiny_clips):
    """Of a corpus, its features and FR rows; a model set names the time at which it was made."""
    for name in ("local", "spread"):
        (tmp_path / name).mkdir()
    local, spread = (drop(tmp_path / name, tiny_clips) for name in ("local", "spread"))
    options = RUNNER, f"--runner-params=address={two_workers.scheduler_address}"
    sweep = "--params=fr_from_nr.crf_sweep=28+35,fr_from_nr.preset=ultrafast,fr_from_nr.threads=1"
    corpus = "--params=extract.corpus=konvid_150k"
    for of, *params in (["ingest"], ["extract", corpus], ["fr_from_nr", sweep], ["mos_head"]):
        local.kedro("run", f"--pipelines={of}", *params)
        spread.kedro("run", f"--pipelines={of}", *params, *options)
    assert results(spread.root) == results(local.root)
    assert nobody_works(spread.root)


def results(root: Path) -> tuple[bytes, list[dict], list[dict]]:
    """Return features, corpus and FR rows, without times and what depends on the folder."""
    features = root / "data/04_feature/full_features_konvid_150k.parquet"
    corpus = (root / "data/02_intermediate/konvid_150k.jsonl").read_text().splitlines()
    fr = (root / "data/05_model_input/k150k_fr_corpus.jsonl").read_text().splitlines()
    rows = [{**json.loads(line), "ingested_at_utc": None} for line in corpus]
    return features.read_bytes(), rows, numbers(map(json.loads, fr))


def test_nodes_do_not_wait_for_a_slow_worker_that_has_them_in_its_queue(two_workers, folder):
    nodes = copies(work.quick, work.QUICK, "narrow") + copies(work.slow, 1, "wide")
    run(nodes, folder, two_workers.scheduler_address)
    assert events(folder) == ["quick"] * work.QUICK and nobody_works(folder)


def test_without_an_address_the_nodes_run_here(folder):
    run(copies(work.quick, work.QUICK, "narrow"), folder, None)
    assert events(folder) == ["quick"] * work.QUICK and nobody_works(folder)


def engine_nodes(count: int) -> Pipeline:
    inputs = ["folder", "params:narrow", "params:vmaf"]
    nodes = [node(work.until_released, inputs, None, name=f"node_{i}") for i in range(count)]
    return pipeline(
        nodes, namespace="narrow", inputs={"folder"}, parameters={"narrow", "vmaf"}
    ) + copies(work.quick, 1, "wide")


def restrictions(made: LocalCluster) -> dict[str, dict[str, float]]:
    tasks = made.scheduler.tasks.values()
    return {task.key[1]: task.resource_restrictions or {} for task in tasks}


@pytest.mark.thorough
@pytest.mark.parametrize(("threads", "cores"), [(2, 2), (64, 4)])
def test_nodes_that_score_declare_their_cores(folder, threads, cores):
    """One that wants more than any worker has takes a whole worker."""
    with cluster(workers=1, threads=4) as made:
        engine = SimpleNamespace(threads=threads, backend="native")
        arguments = (engine_nodes(3), folder, made.scheduler_address)
        running = threading.Thread(target=run, args=arguments, kwargs={"vmaf": engine})
        running.start()
        wait_until(lambda: "+held" in events(folder))
        declared = restrictions(made)
        (folder / "released").touch()
        running.join()
    assert {declared[f"narrow.node_{i}"]["cores"] for i in range(3)} == {cores}


@pytest.mark.thorough
def test_backend_cuda_wants_a_worker_that_declares_a_gpu(two_workers, folder):
    (folder / "released").touch()
    engine = SimpleNamespace(threads=1, backend="cuda")
    with pytest.raises(ClusterError, match="--resources GPU=1"):
        run(engine_nodes(1), folder, two_workers.scheduler_address, vmaf=engine)
    with cluster(workers=1, resources={"GPU": 1}) as made:
        run(engine_nodes(2), folder, made.scheduler_address, vmaf=engine)
    assert events(folder).count("-held") == 2


def other_version(folder: Path) -> dict[str, str]:
    """Return the environment of a worker that finds another version of this package first."""
    described = folder / "other/k150k_pipeline-9.9.dist-info/METADATA"
    described.parent.mkdir(parents=True)
    described.write_text("Metadata-Version: 2.1\nName: k150k-pipeline\nVersion: 9.9\n")
    return {"PYTHONPATH": f"{folder / 'other'}:{CHECKOUT / 'src'}:{CHECKOUT}"}


def difference() -> str:
    return f"k150k-pipeline 9.9 instead of {__version__}"


def test_workers_of_another_version_are_refused_by_name(folder):
    with cluster(workers=0) as made:
        command = worker_command(made.scheduler_address)
        other = subprocess.Popen(command, env=other_version(folder), stderr=subprocess.DEVNULL)
        wait_until(lambda: len(made.scheduler.workers) == 1)
        refused = rf"worker on host {socket.gethostname()} \(tcp://.*\) has {difference()}"
        with pytest.raises(ClusterError, match=refused):
            run(copies(work.quick, 1, "narrow"), folder, made.scheduler_address)
        other.terminate()
        other.wait()
    assert events(folder) == []


@pytest.mark.thorough
def test_worker_of_another_version_that_joins_later_leaves_again(folder):
    with cluster(workers=1) as made:
        nodes = copies(work.until_released, 1, "narrow") + copies(work.quick, 1, "wide")
        running = threading.Thread(target=run, args=(nodes, folder, made.scheduler_address))
        running.start()
        wait_until(lambda: "+held" in events(folder))
        command, environment = worker_command(made.scheduler_address), other_version(folder)
        joined = subprocess.run(command, env=environment, capture_output=True, text=True)
        warnings = [event[1]["text"] for event in made.scheduler.get_events("k150k-pipeline")]
        (folder / "released").touch()
        running.join()
    assert joined.returncode == 0 and "refused by k150k-" in joined.stderr
    (warning,) = [text for text in warnings if "is refused" in text]
    assert f"host {socket.gethostname()} (tcp://" in warning and difference() in warning
    assert events(folder).count("quick") == 1


class Silent:
    """A server that accepts connections and never says a word."""

    def __enter__(self) -> str:
        self._socket = socket.create_server(("127.0.0.1", 0))
        return "tcp://{}:{}".format(*self._socket.getsockname())

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def test_addresses_without_a_scheduler_are_refused_in_a_sentence(folder):
    for address in ("nowhere", "http://127.0.0.1:8786", "tcp://", "tcp://127.0.0.1:port", ""):
        with pytest.raises((InputError, ClusterError), match="scheduler"):
            DaskRunner(address, wait_s=1).run(Pipeline([]), SharedMemoryDataCatalog())
    with (
        Silent() as address,
        pytest.raises(ClusterError, match=f"no scheduler answers at {address}"),
    ):
        DaskRunner(address, wait_s=1).run(Pipeline([]), SharedMemoryDataCatalog())


def test_command_ends_with_one_sentence_where_there_is_no_cluster(project):
    given = "--runner-params=address=tcp://127.0.0.1:9,wait_s=1"
    output = project.kedro("run", "--pipelines=extract", RUNNER, given, ok=False)
    (sentence,) = [line for line in output.splitlines() if not line.startswith("20")]
    assert sentence.startswith("Error: no scheduler answers at tcp://127.0.0.1:9 within 1 s: ")
    given = "--runner-params=adress=tcp://127.0.0.1:9"
    output = project.kedro("run", "--pipelines=extract", RUNNER, given, ok=False)
    assert "no runner parameter 'adress'" in output and "address" in output


def test_scheduler_without_workers(folder):
    with cluster(workers=0) as made, pytest.raises(ClusterError, match="dask worker tcp://"):
        DaskRunner(made.scheduler_address, wait_s=1).run(Pipeline([]), SharedMemoryDataCatalog())


@pytest.mark.parametrize(
    "arguments",
    [{"address": 8786}, {"wait_s": 0}, {"wait_s": "long"}, {"wait_s": True}, {"max_workers": 0}],
)
def test_values_that_cannot_be_used_are_refused(arguments):
    (name,) = arguments
    with pytest.raises(InputError, match=name):
        DaskRunner(**arguments)


def test_missing_package_takes_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'k150k-pipeline\[cluster\]'"):
        DaskRunner()


def test_nothing_imports_dask_unless_it_is_used():
    program = (
        "import sys, k150k_pipeline.cli; from k150k_pipeline.runners import DaskRunner;"
        "sys.exit('distributed' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT).returncode == 0


def test_node_that_is_ready_when_the_scheduler_is_gone_does_not_wait_for_another_one(folder):
    (quick,) = copies(work.quick, 1, "narrow").nodes
    data = {"folder": MemoryDataset(folder), "params:narrow": MemoryDataset(None)}
    task = Task(node=quick, catalog=SharedMemoryDataCatalog(data), is_async=False)
    with cluster(workers=1) as made, Client(made.scheduler_address, set_as_default=False) as client:
        pool = ClusterPool(client, {"narrow": 1}, lambda _: {}, cores=False)
        made.close()
        wait_until(lambda: client.status != "running")
        with pytest.raises(ClusterError, match="connection to the scheduler was lost"):
            pool.submit(task).result(HANG_GUARD_S)


def test_worker_that_does_not_see_the_folder_of_the_client(two_workers, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(Path, "cwd", lambda: gone)
    with pytest.raises(InputError, match=f"cannot work in {gone} .*No such file"):
        run(copies(work.quick, 1, "narrow"), tmp_path, two_workers.scheduler_address)
    record(tmp_path, "done")
