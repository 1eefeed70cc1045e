"""Small pipelines for the runner's tests: ``python -m tests.runners.work SCENARIO FOLDER``.

Nodes write what they do into a file of the folder, and wait for each other by files: a test sees
events, never times.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kedro.framework.project import configure_project
from kedro.io import MemoryDataset, SharedMemoryDataCatalog
from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.runners import ProcessRunner
from k150k_pipeline.runners.pool import WorkerPool
from tests.support.waiting import wait_until

QUICK = 8
"""Number of quick nodes."""


def record(folder: Path, event: str) -> None:
    with (folder / "events").open("a") as file:
        file.write(f"{event}\n")


def events(folder: Path) -> list[str]:
    path = folder / "events"
    return path.read_text().splitlines() if path.exists() else []


@contextlib.contextmanager
def recorded(folder: Path, what: str) -> Iterator[None]:
    record(folder, f"+{what}")
    yield
    record(folder, f"-{what}")


def narrow(folder: Path, _block: Any) -> None:
    """Hold a process until both nodes of the other pipeline have run, one after the other."""
    with recorded(folder, "narrow"):
        wait_until(lambda: events(folder).count("-wide") == 2)


def wide(folder: Path, _block: Any, *_before: str) -> str:
    with recorded(folder, "wide"):
        wait_until(lambda: events(folder).count("+narrow") == 2)
    return "done"


def hold(folder: Path, _block: Any) -> None:
    """Never end."""
    with recorded(folder, "hold"):
        wait_until(lambda: False)


def die(folder: Path, _block: Any) -> None:
    """Die as if the kernel had run out of memory, while another node runs."""
    wait_until(lambda: "+hold" in events(folder))
    os.kill(os.getpid(), signal.SIGKILL)


def fail(folder: Path, _block: Any) -> None:
    wait_until(lambda: "+hold" in events(folder))
    raise ValueError("no such luck")


def slow(folder: Path, _block: Any) -> None:
    """Hold a thread of a worker until all quick nodes have run."""
    wait_until(lambda: events(folder).count("quick") == QUICK)


def quick(folder: Path, _block: Any) -> None:
    record(folder, "quick")


def until_released(folder: Path, _block: Any, *_engine: Any) -> None:
    with recorded(folder, "held"):
        wait_until((folder / "released").exists)


def copies(function: Callable[..., None], count: int, namespace: str) -> Pipeline:
    nodes = [
        node(function, ["folder", f"params:{namespace}"], None, name=f"node_{i}")
        for i in range(count)
    ]
    return pipeline(nodes, namespace=namespace, inputs={"folder"}, parameters={namespace})


def chain(function: Callable[..., str], namespace: str) -> Pipeline:
    inputs = ["folder", f"params:{namespace}"]
    nodes = [
        node(function, inputs, "first", name="node_0"),
        node(function, [*inputs, "first"], "second", name="node_1"),
    ]
    return pipeline(nodes, namespace=namespace, inputs={"folder"}, parameters={namespace})


SCENARIOS = {
    "limits": copies(narrow, 4, "narrow") + chain(wide, "wide"),
    "hold": copies(hold, 5, "narrow"),
    "die": copies(hold, 5, "narrow") + copies(die, 1, "wide"),
    "fail": copies(hold, 5, "narrow") + copies(fail, 1, "wide"),
}


class Job:
    """What a pool sees of Kedro's task."""

    node = SimpleNamespace(namespace="narrow", name="narrow.node_0")

    def __init__(self, function: Callable[..., None], folder: Path) -> None:
        self.function, self.folder = function, folder

    def __call__(self) -> None:
        self.function(self.folder, None)


def start_plain_worker(_death: object) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def die_late(folder: Path) -> None:
    """Submit a task whose worker dies when the pool has settled down to wait for another one."""
    with WorkerPool({"narrow": 2}, 2, start_plain_worker) as pool:
        pool.submit(Job(hold, folder))
        wait_until(lambda: "+hold" in events(folder))
        pool.submit(Job(die, folder)).result()


def run_nodes(scenario: str, folder: Path) -> None:
    configure_project("k150k_pipeline")
    blocks = {"narrow": SimpleNamespace(workers=2), "wide": SimpleNamespace(workers=4)}
    catalog = SharedMemoryDataCatalog(
        {
            "folder": MemoryDataset(folder),
            **{f"params:{name}": MemoryDataset(block) for name, block in blocks.items()},
        }
    )
    ProcessRunner().run(SCENARIOS[scenario], catalog)


def main(scenario: str, folder: Path) -> None:
    try:
        die_late(folder) if scenario == "die late" else run_nodes(scenario, folder)
    except BaseException as error:
        record(folder, f"{type(error).__name__}: {error}")
        raise
    record(folder, "finished")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
