"""A Dask cluster as an executor of Kedro's tasks."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import pickle
import socket
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cloudpickle
from distributed import Client, KilledWorker, LocalCluster, Security
from distributed.client import FutureCancelledError
from distributed.comm.addressing import get_address_host_port
from distributed.core import rpc
from distributed.scheduler import NoValidWorkerError
from kedro.io import SharedMemoryDataCatalog
from kedro.pipeline.node import Node
from kedro.runner.task import Task

from k150k_pipeline.errors import ClusterError, InputError, WorkerDiedError
from k150k_pipeline.runners import cluster_worker
from k150k_pipeline.runners.cluster_worker import TOPIC, NodeWorker, RunWatch, run_node
from k150k_pipeline.runners.pool import pipeline_of
from k150k_pipeline.terminal import LinesAbove, console

logger = logging.getLogger(__name__)

cloudpickle.register_pickle_by_value(cluster_worker)

_MOST_SUBMISSIONS = 5
_END_TIMEOUT_S = 10.0
_NAMED = 3
_LOOPBACK = "127.0.0.1:0"
_OURS = "K150K_"  # variables of the environment that go with the run
_EXACT = ("k150k-pipeline",)
_ALIKE = ("kedro", "distributed", "python")
_OF_SCHEDULER = ("distributed", "python")

Needs = Callable[[Node], Mapping[str, float]]
"""Returns the resources that a node takes of its worker."""


@contextmanager
def connected(address: str | None, threads: int, wait_s: float) -> Iterator[Client]:
    """Yield a client of a cluster that has a worker, and whose versions are those of this process.

    Args:
        address: Address of the scheduler; None for a cluster within this process.
        threads: Number of nodes at a time in the latter.
        wait_s: How long to wait for the scheduler, and for the first worker, in seconds.

    Raises:
        InputError: The address is none.
        ClusterError: There is no scheduler, there are no workers, or these have other versions.
    """
    with _quiet():
        if address is None:
            with _local(threads) as cluster, Client(cluster, set_as_default=False) as client:
                yield client
            return
        client = _connect(address, wait_s)
        try:
            with _loss_in_words(address):
                _wait_for_worker(client, address, wait_s)
                _refuse_other_versions(client)
            yield client
        finally:
            with suppress(OSError):  # a scheduler that does not answer
                client.close(timeout=_END_TIMEOUT_S)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the log of Dask off the terminal: what a user must know is in our messages."""
    names = [n for n in logging.root.manager.loggerDict if n.startswith(("distributed", "tornado"))]
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", "asyncio", *names)]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="distributed")
            yield
    finally:
        gc.collect()  # asyncio logs what Dask has left behind when that is freed
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


def _local(threads: int) -> LocalCluster:
    return LocalCluster(
        n_workers=1,
        threads_per_worker=threads,
        processes=False,
        dashboard_address=_LOOPBACK,  # without one, Dask listens on every address
        worker_dashboard_address=_LOOPBACK,
        memory_limit=0,
    )


def _connect(address: str, wait_s: float) -> Client:
    """Return a client, after a first look: one that fails to connect hangs when it is freed."""
    try:
        found = asyncio.run(_ask_who(address, wait_s))
    except (ValueError, TypeError, RuntimeError, ImportError) as error:
        raise InputError(
            f"address={address} is not that of a scheduler ({error}): give one such as "
            "tcp://host:8786"
        ) from error
    except OSError as error:
        raise ClusterError(
            f"no scheduler answers at {address} within {wait_s:g} s: start one with `dask "
            "scheduler`, and give the address that it prints"
        ) from error
    if found != "Scheduler":
        raise InputError(f"{address} is the address of a {found}: give that of its scheduler")
    return Client(address, timeout=wait_s, set_as_default=False)


async def _ask_who(address: str, wait_s: float) -> str:
    get_address_host_port(address)  # a malformed one is waited for otherwise
    connection = Security().get_connection_args("client")
    async with rpc(address, timeout=wait_s, connection_args=connection) as other:
        identity = await asyncio.wait_for(other.identity(), wait_s)
    return str(identity["type"])


@contextmanager
def _loss_in_words(address: str) -> Iterator[None]:
    """Say which scheduler is meant when the connection to it, or from it to a worker, breaks."""
    try:
        yield
    except OSError as error:
        raise ClusterError(
            f"the cluster of the scheduler at {address} cannot be used ({error}): see its log"
        ) from error


def _wait_for_worker(client: Client, address: str, wait_s: float) -> None:
    try:
        client.wait_for_workers(1, timeout=wait_s)
    except OSError as error:
        raise ClusterError(
            f"no worker has joined the scheduler at {address} within {wait_s:g} s: start some with "
            f"`dask worker {address}`"
        ) from error


def wanted_versions() -> dict[str, str]:
    """Return the version that each package must have on a worker, or the beginning of it."""
    found = {name: cluster_worker._version(name) for name in (*_EXACT, *_ALIKE)}
    return {n: v if n in _EXACT else ".".join(v.split(".")[:2]) for n, v in found.items()}


def _refuse_other_versions(client: Client) -> None:
    """Refuse a cluster in which anybody has other versions than this process.

    Raises:
        ClusterError: There are such; the message names them.
    """
    wanted = wanted_versions()
    found: Any = client.get_versions(packages=[name for name in wanted if name != "python"])
    of_scheduler = {name: wanted[name] for name in _OF_SCHEDULER}
    misfits = [f"the scheduler has {how}" for how in _differences(found["scheduler"], of_scheduler)]
    hosts: dict[str, str] = {}
    for address, versions in found["workers"].items():
        if how := _differences(versions, wanted):
            hosts = hosts or _host_names(client)
            host = hosts.get(address, "unknown")
            misfits.append(f"the worker on host {host} ({address}) has {', '.join(how)}")
    if misfits:
        more = f", and {len(misfits) - _NAMED} more" if len(misfits) > _NAMED else ""
        raise ClusterError(
            f"other versions than those of this client are refused: {'; '.join(misfits[:_NAMED])}"
            f"{more}. Start scheduler and workers from the environment of the client"
        )


def _differences(versions: Mapping[str, Any], wanted: Mapping[str, str]) -> list[str]:
    packages = versions["packages"]
    return [
        f"{name} {packages.get(name) or 'missing'} instead of {version}"
        for name, version in wanted.items()
        if not f"{packages.get(name)}.".startswith(f"{version}.")
    ]


def _host_names(client: Client) -> dict[str, str]:
    answers = client.run(socket.gethostname, on_error="return")
    return {address: name for address, name in answers.items() if isinstance(name, str)}


class ClusterPool(Executor):
    """Gives Kedro's tasks to the workers of a cluster.

    A node whose worker is lost runs again on another. The exit of the pool on an exception cancels
    what waits and kills what runs; when it returns, nothing of the run is written any more, unless
    a worker cannot be reached.

    Args:
        client: Connection to the cluster.
        limits: Most nodes at a time, by pipeline.
        needs: Resources that a node takes.
        cores: Whether some node takes ``cores``.
    """

    def __init__(
        self, client: Client, limits: Mapping[str, int], needs: Needs, *, cores: bool
    ) -> None:
        self._client = client
        self._name = f"k150k-{uuid.uuid4().hex[:12]}"
        self._lanes = {pipeline: asyncio.Semaphore(limit) for pipeline, limit in limits.items()}
        self._needs = needs
        self._loop = client.loop.asyncio_loop  # type: ignore[union-attr]
        self._futures: list[Future[Node]] = []
        client.subscribe_topic(TOPIC, self._show)
        client.register_plugin(RunWatch(self._name, client.id))
        folder, versions = str(Path.cwd()), wanted_versions()
        ours = {name: value for name, value in os.environ.items() if name.startswith(_OURS)}
        self._prepare(NodeWorker(self._name, folder, ours, versions, cores))

    def submit(self, task: Task, /, *_: Any, **__: Any) -> Future[Node]:  # type: ignore[override]
        """Give a task to the cluster, or let it wait until its pipeline may have another node.

        Args:
            task: One of Kedro's.
        """
        call = self._run(task.node, pickle.dumps(_lean(task)))
        future = asyncio.run_coroutine_threadsafe(call, self._loop)
        self._futures.append(future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take the run off the workers; on ``cancel_futures`` also what still runs there."""
        if cancel_futures:
            for future in self._futures:
                future.cancel()
        elif wait:
            for future in self._futures:
                future.exception()
        with suppress(Exception):  # workers that do not answer: the run ends all the same
            unregister = self._client.scheduler.unregister_worker_plugin  # type: ignore[union-attr]
            self._client.sync(unregister, name=self._name, callback_timeout=_END_TIMEOUT_S)

    def __exit__(self, exc_type: Any, *_: Any) -> None:
        """Take the run off the workers; on an exception, what runs there is killed."""
        self.shutdown(cancel_futures=exc_type is not None)

    def _prepare(self, plugin: NodeWorker) -> None:
        """Bring the run to the workers; one that is lost meanwhile does not stop it.

        Raises:
            ClusterError: A worker cannot take it.
        """
        for _ in range(_MOST_SUBMISSIONS - 1):
            with suppress(OSError):
                self._register(plugin)
                return
        with _loss_in_words(self._client.scheduler_info()["address"]):
            self._register(plugin)

    def _register(self, plugin: NodeWorker) -> None:
        try:
            self._client.register_plugin(plugin)
        except ImportError as error:
            raise ClusterError(
                f"a worker cannot import k150k_pipeline ({error}): install it there anew"
            ) from error

    async def _run(self, node: Node, task: bytes) -> Node:
        async with self._lanes[pipeline_of(node)]:
            for number in range(_MOST_SUBMISSIONS):
                try:
                    where, answer = await self._ask(node, task, number)
                except KilledWorker as error:
                    logger.warning(
                        "%s is submitted again: each worker that had it was lost, at last %s",
                        node.name, error.last_worker.address,
                    )  # fmt: skip
                    continue
                if (raised := pickle.loads(answer)) is not None:
                    logger.error("%s failed on %s", node.name, where)
                    raise raised
                return node
        raise WorkerDiedError(
            f"the workers of node {node.name} were lost again and again: see the logs of the "
            "workers, and whether their memory is enough"
        )

    async def _ask(self, node: Node, task: bytes, number: int) -> tuple[str, bytes]:
        lost = ClusterError(
            f"the connection to the scheduler was lost at node {node.name}: see its log, and start "
            "it again if it has ended"
        )
        if self._client.status != "running":  # then a node would be kept for a scheduler to come
            raise lost
        # Tasks of one group, which is the first part of the key, wait at the scheduler, not in
        # the queues of workers.
        group = f"{node.namespace or 'run'}.{node.func.__name__}-{self._name}-{number}"
        future = self._client.submit(
            run_node,
            self._name,
            task,
            key=(group, node.name),
            resources=dict(self._needs(node)) or None,
            pure=False,
        )
        try:
            # On the loop of the client it is to be awaited. ``gather`` leaves a line in the log.
            answer: tuple[str, bytes] = await future.result()  # type: ignore[misc]
        except (FutureCancelledError, OSError):
            raise lost from None
        except NoValidWorkerError:
            raise ClusterError(
                f"no worker can take node {node.name}: see whether the workers are still there, "
                "and which resources they declare"
            ) from None
        return answer

    def _show(self, event: tuple[float, Mapping[str, str]]) -> None:
        """Print what a worker has to say, if it is of this run."""
        message = event[1]
        if message["run"] != self._name:
            return
        if message["kind"] == "warning":
            logger.warning("%s", message["text"])
        elif console().is_terminal:
            LinesAbove(console()).write(message["text"].rstrip("\n") + "\n")
        else:
            sys.stderr.write(message["text"])
            sys.stderr.flush()


def _lean(task: Task) -> Task:
    """Return a task with those datasets alone that its node uses."""
    names = {*task.node.inputs, *task.node.outputs}
    catalog = SharedMemoryDataCatalog({name: task.catalog[name] for name in names})
    return Task(
        node=task.node,
        catalog=catalog,
        is_async=task.is_async,
        run_id=task.run_id,
        parallel=True,
    )
