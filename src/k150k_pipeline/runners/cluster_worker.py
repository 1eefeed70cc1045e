"""What a run brings to scheduler and workers: pickled by value, so that they need not have it.

A worker of another version of this package, or without it, can thus say so. Only what the standard
library and distributed have may be imported at the top.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import socket
import sys
from collections.abc import Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from distributed import Reschedule, Scheduler, Worker, get_worker
from distributed.diagnostics.plugin import SchedulerPlugin, WorkerPlugin

TOPIC = "k150k-pipeline"
"""Topic of the events that workers send to their clients."""


class NodeWorker(WorkerPlugin):
    """Runs the nodes of one run on one worker.

    A worker that joins during the run and has other versions leaves again before it has a node.

    Args:
        name: Name of the run.
        folder: Working directory of the client.
        environment: Variables that the nodes find in their environment.
        versions: Version that each package must have here, or the beginning of it.
        cores: Whether to declare the threads of the worker as the resource ``cores``.
    """

    def __init__(
        self,
        name: str,
        folder: str,
        environment: Mapping[str, str],
        versions: Mapping[str, str],
        cores: bool,
    ) -> None:
        self.name = name
        self._folder = folder
        self._environment = environment
        self._versions = versions
        self._cores = cores
        self.processes: Any = None

    async def setup(self, worker: Worker) -> None:
        """Check the versions; called by the worker before it takes any node of the run."""
        if others := self._other_versions():
            await self._refuse(worker, ", ".join(others))
            return
        from k150k_pipeline.runners.node_process import NodeProcesses

        report = partial(self._report, worker)
        self.processes = NodeProcesses(Path(self._folder), self._environment, report)
        if self._cores and "cores" not in worker.state.total_resources:
            await worker.set_resources(cores=worker.state.nthreads)

    async def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - Dask's signature
        """End the processes of the run; when this returns, they write nothing any more."""
        processes, self.processes = self.processes, None
        if processes is not None:
            await asyncio.to_thread(processes.end)

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Kill the process of a node that is wanted here no longer."""
        if start in ("executing", "long-running") and finish == "released" and self.processes:
            self.processes.cancel(key)

    def _other_versions(self) -> list[str]:
        found = {name: _version(name) for name in self._versions}
        return [
            f"{name} {found[name]} instead of {wanted}"
            for name, wanted in self._versions.items()
            if not f"{found[name]}.".startswith(f"{wanted}.")
        ]

    async def _refuse(self, worker: Worker, differences: str) -> None:
        text = f"host {socket.gethostname()} ({worker.address}) has {differences}"
        self._report(worker, "warning", f"A worker that joined is refused: {text}")

        async def leave() -> None:
            await worker.start()  # it is still starting; this waits until it has started
            await worker.close_gracefully(reason=f"refused by {self.name}: {text}")

        self._leaving = asyncio.ensure_future(leave())

    def _report(self, worker: Worker, kind: str, text: str) -> None:
        event = {"run": self.name, "kind": kind, "text": text}
        worker.loop.add_callback(worker.log_event, TOPIC, event)


class RunWatch(SchedulerPlugin):
    """Tells the client which workers go, and takes the run off them when the client is gone.

    Args:
        name: Name of the run.
        client: Identifier of its client.
    """

    def __init__(self, name: str, client: str) -> None:
        self.name = f"{name}-watch"
        self._run = name
        self._client = client

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Called by the scheduler when a client has gone."""
        if client == self._client:
            self._ending = asyncio.ensure_future(self._end(scheduler))

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:
        """Called by the scheduler when a worker has gone."""
        left = len(scheduler.workers)
        rest = f"{left} are left" if left else "none is left, and the run waits for one"
        text = f"The worker {worker} has gone, and its nodes run again on another: {rest}"
        scheduler.log_event(TOPIC, {"run": self._run, "kind": "warning", "text": text})

    async def _end(self, scheduler: Scheduler) -> None:
        with contextlib.suppress(OSError):  # a worker that cannot be reached any more
            await scheduler.unregister_worker_plugin(None, name=self._run)
        await scheduler.unregister_scheduler_plugin(self.name)


def run_node(run: str, task: bytes) -> tuple[str, bytes]:
    """Run a node on a worker.

    Args:
        run: Name of the run.
        task: Kedro's task, pickled.

    Returns:
        Where it has run, for a person, and the pickled error of the node, or None.
    """
    worker = get_worker()
    where = f"host {socket.gethostname()} ({worker.address})"
    plugin = worker.plugins.get(run)
    if plugin is None:
        return where, pickle.dumps(RuntimeError(f"{where} knows no run {run}"))
    processes = plugin.processes  # type: ignore[attr-defined]
    if processes is None:  # this worker was refused, and is leaving
        raise Reschedule
    from k150k_pipeline.runners.node_process import EndedError

    try:
        answer: bytes = processes.run(worker.get_current_task(), task)
    except EndedError:
        raise Reschedule from None
    return where, answer


def _version(package: str) -> str:
    if package == "python":
        return ".".join(map(str, sys.version_info[:3]))
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
