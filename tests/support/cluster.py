"""A Dask cluster on hosts of their own: a scheduler, two workers, and a client's Kedro."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.support.kedro_server import KedroServer
from tests.support.namespaces import Host, Network
from tests.support.waiting import HANG_GUARD_S, wait_until

RUNNER = "--runner=k150k_pipeline.runners.DaskRunner"
_PORT = 8786
_TIMEOUT = "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP"
_LOSSES = "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"


def scheduler_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard", *arguments]


def worker_command(address: str, *arguments: str) -> list[str]:
    options = ("--no-dashboard", "--nthreads", "1")
    return [sys.executable, "-m", "distributed.cli.dask_worker", address, *options, *arguments]


def node_processes(folder: Path) -> list[psutil.Process]:
    """Return the processes in which workers run nodes of a run in a folder."""
    return [p for p in psutil.process_iter() if _runs_nodes(p) and _is_in(p, folder)]


def _runs_nodes(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and any("runners.node_child" in part for part in process.cmdline())
    return False


def _is_in(process: psutil.Process, folder: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.cwd() == str(folder)
    return False


class WorkerHost:
    """A host with a worker.

    Args:
        host: The host.
        address: Address of the scheduler.
        log: Takes what the worker writes.
        environment: Variables of its process.
    """

    def __init__(self, host: Host, address: str, log: Path, environment: dict[str, str]) -> None:
        self.host = host
        self._address, self._log, self._environment = address, log, environment
        self._process: subprocess.Popen[bytes] | None = None

    def ensure(self) -> None:
        """Start a worker unless there is one, and wait until the scheduler knows it."""
        if self._process is not None and self._process.poll() is None:
            return
        before = self._registrations()
        self._process = self.host.start(worker_command(self._address), self._log, self._environment)
        wait_until(lambda: self._registrations() > before)

    def wait_for_end(self) -> None:
        """Wait until the worker has ended by itself."""
        assert self._process is not None
        self._process.wait(HANG_GUARD_S)

    def kill_worker(self) -> None:
        """Kill the worker; its nanny starts another one."""
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                if any("spawn_main" in part for part in process.cmdline()):
                    process.kill()

    def kill_host(self) -> None:
        """Kill everything at once, as the host's end does."""
        for process in (*self._tree(), *(p for w in self._tree() for p in _children(w))):
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _tree(self) -> list[psutil.Process]:
        alive = self._process is not None and self._process.poll() is None
        return _children(psutil.Process(self._process.pid)) if alive else []

    def _registrations(self) -> int:
        return self._log.read_text().count("Registered to:") if self._log.exists() else 0


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return process.children()
    return []


class Lab:
    """A scheduler, two workers and a client, each on its host.

    Args:
        network: What joins the hosts.
        folder: For logs.
        timeout: After how long a silent connection counts as broken.
        losses: How many workers may be lost over a task before Dask gives it up.

    Attributes:
        address: Address of the scheduler.
        workers: The workers.
        server: Runs Kedro on the client's host.
    """

    def __init__(self, network: Network, folder: Path, timeout: str, losses: int) -> None:
        environment = {_TIMEOUT: timeout, _LOSSES: str(losses)}
        host = network.host("scheduler")
        self.address = f"tcp://{host.address}:{_PORT}"
        command = scheduler_command("--host", host.address, "--port", str(_PORT))
        self.scheduler = host.start(command, folder / "scheduler.log", environment)
        self.workers = [
            WorkerHost(network.host(name), self.address, folder / f"{name}.log", environment)
            for name in ("one", "two")
        ]
        self.server = KedroServer(environment, network.host("client").command())

    @classmethod
    @contextlib.contextmanager
    def opened(cls, folder: Path, timeout: str = "30s", losses: int = 3) -> Iterator[Lab]:
        """Make the hosts and start everything on them; at the end it is removed."""
        with Network() as network:
            lab = cls(network, folder, timeout, losses)
            try:
                for worker in lab.workers:
                    worker.ensure()
                yield lab
            finally:
                for worker in lab.workers:
                    worker.kill_host()
                lab.scheduler.kill()
                lab.scheduler.wait()

    @property
    def runner(self) -> tuple[str, ...]:
        """The options of a run on this cluster."""
        return RUNNER, f"--runner-params=address={self.address}"
