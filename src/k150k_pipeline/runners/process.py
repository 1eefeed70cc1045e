"""Kedro's ParallelRunner, made safe for runs of days: no orphans, and Ctrl-C means now."""

from __future__ import annotations

import functools
import os
import signal
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from kedro.framework import project
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.runner import ParallelRunner
from kedro.runner.parallel_runner import ParallelRunnerManager
from kedro.runner.runner import AbstractRunner

from k150k_pipeline.cores import usable_cores
from k150k_pipeline.errors import InputError
from k150k_pipeline.isolation.confine import die_with_parent
from k150k_pipeline.isolation.deaths import note_predecessor
from k150k_pipeline.runners.pool import (
    Death,
    WorkerPool,
    pipeline_of,
    signals_kept_from_children,
)
from k150k_pipeline.terminal import worker_output, write_to

_ENDING = (signal.SIGTERM, signal.SIGHUP)


class ProcessRunner(ParallelRunner):
    """Runs nodes in spawned processes that die with this one and stop at the first error.

    Each pipeline has its own number of processes: the member ``workers`` of the parameter block
    that is named like the pipeline.

    Args:
        max_workers: Most processes of the whole run, and those of a pipeline that sets none; by
            default one per usable core for each of these.
        is_async: Whether inputs and outputs are loaded and saved in threads.

    Raises:
        InputError: ``max_workers`` is not a whole number from 1.
    """

    def __init__(self, max_workers: int | None = None, is_async: bool = False) -> None:
        # ParallelRunner's own __init__ starts its manager process without a death signal.
        AbstractRunner.__init__(self, is_async=is_async)
        self._manager = ParallelRunnerManager()
        # It ignores Ctrl-C and SIGTERM by itself, and a new one prints a traceback per semaphore.
        with signals_kept_from_children(signal.SIGHUP):
            resource_tracker.ensure_running()
        with signals_kept_from_children(signal.SIGINT, *_ENDING):
            self._manager.start(initializer=_serve, initargs=(os.getpid(),))
        self._output: Connection | None = None
        self._requested_workers = checked_max_workers(max_workers)
        self._limits: dict[str, int] = {}

    def __del__(self) -> None:
        """End the manager; a signal that comes meanwhile comes too late, as the run has ended."""
        with suppress(KeyboardInterrupt):
            super().__del__()

    def _get_required_workers_count(self, pipeline: Pipeline) -> int:
        self._max_workers = max(self._limits.values(), default=1)
        return super()._get_required_workers_count(pipeline)

    def _get_executor(self, max_workers: int) -> Executor:
        start = functools.partial(_start_worker, self._output)
        return WorkerPool(self._limits, max_workers, start)

    def _suggest_resume_scenario(self, *_: Any) -> None:
        """Print nothing: Kedro's hint names nodes, and the command prints what is kept."""

    def _run(self, pipeline: Pipeline, catalog: Any, *args: Any, **kwargs: Any) -> None:
        most = usable_cores()
        self._limits = worker_limits(pipeline, catalog, self._requested_workers, most)
        with worker_output() as self._output:
            super()._run(pipeline, catalog, *args, **kwargs)


def checked_max_workers(max_workers: int | None) -> int | None:
    """Return a runner's parameter ``max_workers``.

    Raises:
        InputError: It is not a whole number from 1.
    """
    if max_workers is not None and (type(max_workers) is not int or max_workers < 1):
        raise InputError(
            f"max_workers is {max_workers!r}: give a whole number from 1, such as "
            "--runner-params max_workers=4"
        )
    return max_workers


def worker_limits(
    pipeline: Pipeline,
    catalog: CatalogProtocol[Any, Any],
    max_workers: int | None,
    otherwise: int,
) -> dict[str, int]:
    """Return the most nodes at a time for each pipeline of a run.

    Args:
        pipeline: All nodes of the run.
        catalog: Has the parameter blocks.
        max_workers: Most nodes of the whole run; None for no such limit.
        otherwise: The limit of a pipeline that has no other.
    """
    inputs = pipeline.inputs()
    limits = {}
    for name in {pipeline_of(node) for node in pipeline.nodes}:
        block = catalog[f"params:{name}"].load() if f"params:{name}" in inputs else None
        given = (getattr(block, "workers", None), max_workers)
        limits[name] = min((n for n in given if n is not None), default=otherwise)
    return limits


def _start_worker(output: Connection | None, death: Death | None) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        max_workers=1,
        mp_context=get_context("spawn"),
        initializer=_serve_project,
        initargs=(os.getpid(), str(project.PACKAGE_NAME), output, death),
    )


def _serve_project(
    parent: int, package_name: str, output: Connection | None, death: Death | None
) -> None:
    # A spawned worker does not know its project, so Kedro would load every plugin's hooks; told
    # by configure_project, Kedro 1.7 configures itself anew per task and recurses in its logging.
    _serve(parent)
    write_to(output)
    project.settings.configure(f"{package_name}.settings")
    if death is not None:
        note_predecessor(*death)


def _serve(parent: int) -> None:
    """Prepare a child process: die with the parent, leave Ctrl-C to it, end on other signals."""
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, signal.SIG_DFL)  # a forked process has its parent's handlers
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
