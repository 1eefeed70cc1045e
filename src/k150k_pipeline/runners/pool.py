"""Worker processes that are replaced when they die; no pipeline takes more than it may."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

from kedro.pipeline.node import Node
from kedro.runner.task import Task

from k150k_pipeline.errors import WorkerDiedError
from k150k_pipeline.isolation.deaths import count_oom_kills, describe_end, reason_of_death

logger = logging.getLogger(__name__)

_MOST_DEATHS = 5
_END_TIMEOUT_S = 5.0

Death = tuple[str, str]
"""Reason and detail of the end of a worker."""

StartWorker = Callable[[Death | None], ProcessPoolExecutor]
"""Makes a pool of one process, given how the process ended whose place it takes."""


def pipeline_of(node: Node) -> str:
    """Return the pipeline that a node belongs to: its outermost namespace, or an empty name."""
    return (node.namespace or "").split(".")[0]


@contextmanager
def signals_kept_from_children(*numbers: int) -> Iterator[None]:
    """Block signals in a block, by default Ctrl-C; processes that start in it inherit that."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers or {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """One process at a time. Whoever starts it must live on: it dies with the thread of its start.

    Args:
        start: Makes the process.
    """

    def __init__(self, start: StartWorker) -> None:
        self._start = start
        self._pool = start(None)
        self._processes: list[BaseProcess] = []
        self._one_step = threading.Lock()
        self._ended = False

    def run(self, task: Task) -> Node:
        """Run a task; when the process dies of it, run it in another one.

        Raises:
            WorkerDiedError: That happens too often.
        """
        for deaths in range(1, _MOST_DEATHS + 1):
            oom_kills = count_oom_kills()
            try:
                with signals_kept_from_children():
                    future = self._pool.submit(task)
                self._processes = list((self._pool._processes or {}).values())
                if self._ended:  # killed before there was a process
                    self.kill()
                return future.result()
            except BrokenProcessPool:
                reason, detail = self._autopsy(oom_kills)
                if self._ended or deaths == _MOST_DEATHS:
                    break
                logger.warning("A new worker goes on with node %s: %s", task.node.name, detail)
                self._replace((reason, detail))
        raise WorkerDiedError(
            f"a worker process died {deaths} times at node {task.node.name}; last: {detail}. If "
            "memory ran out, use fewer workers (--runner-params max_workers=N)"
        )

    def kill(self) -> None:
        """End the process now; it gets no successor."""
        with self._one_step:
            self._ended = True
            for process in {*self._processes, *(self._pool._processes or {}).values()}:
                process.kill()

    def close(self) -> None:
        """Wait for the process to end."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _replace(self, death: Death) -> None:
        with self._one_step:
            if not self._ended:
                self._pool.shutdown(wait=True)
                self._pool = self._start(death)

    def _autopsy(self, oom_kills: int) -> Death:
        code = 1
        for process in self._processes:
            code = exit_code(process) or code
        reason = reason_of_death(code, oom_kills)
        return reason, f"its worker process ended with {describe_end(code)}"


def exit_code(process: BaseProcess) -> int | None:
    """Return the exit code of a process that ends; None if it does not end soon.

    The thread of its pool waits for it too. Whichever thread comes second finds no such child, and
    the code only a moment later (https://github.com/python/cpython/issues/130895).
    """
    process.join(_END_TIMEOUT_S)
    end = time.monotonic() + _END_TIMEOUT_S
    while process.exitcode is None and time.monotonic() < end:
        time.sleep(0.001)
    return process.exitcode


@dataclass
class _Lane:
    """The tasks of one pipeline: at most ``limit`` of them run."""

    limit: int
    running: int = 0
    waiting: deque[tuple[Task, Future[Node]]] = field(default_factory=deque)


class WorkerPool(Executor):
    """Takes Kedro's tasks and gives each pipeline only as many processes as it may have.

    A worker that dies is replaced, and its task runs again; the others do not notice. The exit of
    the pool on an exception kills what still runs and drops the rest.

    Args:
        limits: Most processes at a time, by pipeline.
        max_workers: Most processes of all.
        start: Makes a worker.
    """

    def __init__(self, limits: Mapping[str, int], max_workers: int, start: StartWorker) -> None:
        self._lanes = {pipeline: _Lane(limit) for pipeline, limit in limits.items()}
        self._start = start
        self._threads = ThreadPoolExecutor(max_workers, "worker")
        self._of_thread = threading.local()
        self._workers: list[_Worker] = []
        self._one_step = threading.Lock()
        self._ended = False

    def submit(self, task: Task, /, *_: Any, **__: Any) -> Future[Node]:  # type: ignore[override]
        """Start a task, or let it wait until its pipeline may have another process.

        Args:
            task: One of Kedro's.
        """
        task.parallel = True  # Kedro says so to pools of its own kind alone
        future: Future[Node] = Future()
        with self._one_step:
            self._lanes[pipeline_of(task.node)].waiting.append((task, future))
            self._start_waiting()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the workers end; on ``cancel_futures`` make them, and drop what waits."""
        with self._one_step:
            self._ended = self._ended or cancel_futures
        if cancel_futures:
            for worker in self._workers:
                worker.kill()
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for worker in self._workers:
            worker.close()

    def __exit__(self, exc_type: Any, *_: Any) -> None:
        """Wait for the workers to end; on an exception, make them."""
        self.shutdown(cancel_futures=exc_type is not None)

    def _start_waiting(self) -> None:
        for lane in self._lanes.values():
            while lane.waiting and lane.running < lane.limit and not self._ended:
                lane.running += 1
                self._threads.submit(self._run, lane, *lane.waiting.popleft())

    def _run(self, lane: _Lane, task: Task, future: Future[Node]) -> None:
        try:
            future.set_result(self._worker().run(task))
        except BaseException as error:
            future.set_exception(error)
        with self._one_step:
            lane.running -= 1
            self._start_waiting()

    def _worker(self) -> _Worker:
        worker: _Worker | None = getattr(self._of_thread, "worker", None)
        if worker is None:
            with self._one_step:
                if self._ended:
                    raise WorkerDiedError("the run has ended")
                worker = self._of_thread.worker = _Worker(self._start)
                self._workers.append(worker)
        return worker
