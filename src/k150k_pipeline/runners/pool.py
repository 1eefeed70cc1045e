"""A process pool in which no pipeline takes more workers than it may."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kedro.pipeline.node import Node
from kedro.runner.task import Task


def pipeline_of(node: Node) -> str:
    """Return the pipeline that a node belongs to: its outermost namespace, or an empty name."""
    return (node.namespace or "").split(".")[0]


@contextmanager
def interrupts_kept_from_children() -> Iterator[None]:
    """Block Ctrl-C in a block: processes that start in it inherit that, and say nothing of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Promise(Future[Node]):
    """What Kedro gets for a task that may have to wait.

    Kedro asks for the result in the thread that submits, and it must be that thread that lets the
    next tasks start: a worker gets a death signal when the thread that started it ends.
    """

    def __init__(self, pool: LimitedPool) -> None:
        super().__init__()
        self._pool = pool

    def result(self, timeout: float | None = None) -> Node:
        node = super().result(timeout)
        self._pool.start_waiting()
        return node

    def follow(self, future: Future[Node]) -> None:
        """Take over the outcome of a task that has ended."""
        if future.cancelled():
            self.cancel()
        elif (error := future.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(future.result())


@dataclass
class _Lane:
    """The tasks of one pipeline: at most ``limit`` of them are with the pool."""

    limit: int
    waiting: deque[tuple[Task, _Promise]] = field(default_factory=deque)
    running: list[Future[Node]] = field(default_factory=list)

    def has_room(self) -> bool:
        self.running = [future for future in self.running if not future.done()]
        return len(self.running) < self.limit


class LimitedPool(ProcessPoolExecutor):
    """Takes Kedro's tasks and gives each pipeline only as many processes as it may have.

    Its exit on an exception kills what still runs and drops the rest.

    Args:
        limits: Most processes at a time, by pipeline.
        options: As for ``ProcessPoolExecutor``.
    """

    def __init__(self, limits: Mapping[str, int], **options: Any) -> None:
        super().__init__(**options)
        self._lanes = {pipeline: _Lane(limit) for pipeline, limit in limits.items()}

    def submit(self, task: Task, /, *_: Any, **__: Any) -> Future[Node]:  # type: ignore[override]
        """Start a task, or let it wait until its pipeline may have another process.

        Args:
            task: One of Kedro's.
        """
        promise = _Promise(self)
        self._lanes[pipeline_of(task.node)].waiting.append((task, promise))
        self.start_waiting()
        return promise

    def start_waiting(self) -> None:
        """Start the tasks for which there is room now."""
        for lane in self._lanes.values():
            while lane.waiting and lane.has_room():
                task, promise = lane.waiting.popleft()
                with interrupts_kept_from_children():
                    future: Future[Node] = super().submit(task)
                lane.running.append(future)
                future.add_done_callback(promise.follow)
                self._watch_every_worker()

    def _watch_every_worker(self) -> None:
        """Let the pool's own thread see a worker that ``submit`` may have started.

        ``submit`` wakes that thread before it starts the worker. The thread then waits without
        the new one and would not notice its death before another task ends.
        """
        with self._shutdown_lock:
            self._executor_manager_thread_wakeup.wakeup()

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> bool | None:
        """Wait for the workers to end; on an exception, make them."""
        if exc_type is not None:
            for worker in list((self._processes or {}).values()):
                worker.kill()
        self.shutdown(wait=True, cancel_futures=exc_type is not None)
        return None
