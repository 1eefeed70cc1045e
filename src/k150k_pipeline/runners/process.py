"""Kedro's ParallelRunner, made safe for runs of days: no orphans, and Ctrl-C means now."""

from __future__ import annotations

import os
import signal
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from kedro.framework import project
from kedro.runner import ParallelRunner
from kedro.runner.parallel_runner import ParallelRunnerManager
from kedro.runner.runner import AbstractRunner

from k150k_pipeline.media.process import die_with_parent
from k150k_pipeline.run_shape import current_shape


class WorkerDiedError(RuntimeError):
    """A worker process ended without a word (killed, out of memory, crashed)."""


class ProcessRunner(ParallelRunner):
    """Runs nodes in spawned processes that die with this one and stop at the first error.

    Args:
        max_workers: Worker processes; by default ``extract.workers``, else one per core.
        is_async: Whether inputs and outputs are loaded and saved in threads.
    """

    def __init__(self, max_workers: int | None = None, is_async: bool = False) -> None:
        # ParallelRunner's own __init__ starts its manager process without a death signal.
        AbstractRunner.__init__(self, is_async=is_async)
        self._manager = ParallelRunnerManager()
        self._manager.start(initializer=_serve, initargs=(os.getpid(),))
        self._requested_workers = max_workers
        self._max_workers = self._validate_max_workers(max_workers)

    def _get_required_workers_count(self, pipeline: Any) -> int:
        if self._requested_workers is None:
            self._max_workers = current_shape().workers
        return super()._get_required_workers_count(pipeline)

    def _get_executor(self, max_workers: int) -> Executor:
        return _Pool(
            max_workers=max_workers,
            mp_context=get_context("spawn"),
            initializer=_serve_project,
            initargs=(os.getpid(), str(project.PACKAGE_NAME)),
        )

    def _suggest_resume_scenario(self, *_: Any) -> None:
        self._logger.warning("What is finished is kept. Run the same command again to go on")

    def _run(self, *args: Any, **kwargs: Any) -> None:
        try:
            super()._run(*args, **kwargs)
        except BrokenProcessPool as error:
            raise WorkerDiedError(
                "a worker process died without a word: killed, or out of memory. Every clip "
                "finished so far is in the journal; run the same command again to go on "
                "(with fewer extract.workers if memory ran out)"
            ) from error


class _Pool(ProcessPoolExecutor):
    """A process pool whose exit on an exception kills what still runs and drops the rest."""

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> bool | None:
        if exc_type is not None:
            for worker in list((self._processes or {}).values()):
                worker.kill()
        self.shutdown(wait=True, cancel_futures=exc_type is not None)
        return None


def _serve_project(parent: int, package_name: str) -> None:
    # A spawned worker does not know its project, so Kedro would load every plugin's hooks; told
    # by configure_project, Kedro 1.7 configures itself anew per task and recurses in its logging.
    _serve(parent)
    project.settings.configure(f"{package_name}.settings")


def _serve(parent: int) -> None:
    """Prepare a child process: die with the parent, leave Ctrl-C to it."""
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
