"""A helper: a process that works on clips and may die of one without taking anybody with it."""

from __future__ import annotations

import functools
import pickle
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

from k150k_pipeline.errors import KILLED, ClipError, EngineError
from k150k_pipeline.isolation.answers import Answer, encode_request
from k150k_pipeline.isolation.helper_process import HelperDied, HelperProcess

P = ParamSpec("P")
T = TypeVar("T")

_TIMEOUT = "timeout"
_MOST_STARTS = 3


@dataclass(frozen=True)
class ClipTask:
    """What is done to which clip, and how long it may take.

    Attributes:
        stage: Stage of a failure that the work itself does not report: ``probe``, ``score``, ….
        clip: The clip, for messages.
        timeout_s: Wall-clock limit in seconds.
    """

    stage: str
    clip: Path
    timeout_s: float

    def failure(self, reason: str, detail: str) -> ClipError:
        """Return the failure of this clip."""
        return ClipError(self.stage, reason, f"{self.clip}: {detail}")


class Helper:
    """Runs functions in a long-lived child process; one call at a time.

    The child starts with the first call, by executing Python anew: nothing of this process is
    forked, so it may have threads. It dies with this process. It and each of its own children
    have a memory limit, no core dumps, and are the first that the kernel kills when memory runs
    out. After a death the next call starts a new one.

    Args:
        memory_limit_mb: Limit of the child and of each of its children in MiB; what it bounds is
            said in :func:`~k150k_pipeline.isolation.confine.confine`.
    """

    def __init__(self, memory_limit_mb: int) -> None:
        self._memory_limit_mb = memory_limit_mb
        self._process: HelperProcess | None = None
        self._one_call = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the child; None while there is none."""
        return self._process.pid if self._process else None

    def call(
        self, task: ClipTask, function: Callable[P, T], /, *arguments: P.args, **keywords: P.kwargs
    ) -> T:
        """Call a function in the child.

        A clip is blamed for a crash, or for want of memory, only by a child that had nothing else
        to do before: one that has worked on other clips gives way to a new one first.

        Args:
            task: What it is about.
            function: Goes by its name; arguments and result are pickled.
            arguments: Of the function.
            keywords: Of the function.

        Raises:
            ClipError: That of the function; or reason ``crashed`` (the child died, or the
                function raised what it should not), ``memory`` (it had no more, or the kernel
                killed it for that), ``killed`` (by a signal from elsewhere), ``timeout``.
            EngineError: That of the function; or no child can be started, or its disk is full.
            InputError: That of the function.
        """
        request = encode_request(function, arguments, keywords)
        with self._one_call:
            try:
                answer: Answer = self._ask(task, request)
            except BaseException:
                self.close()
                raise
        if answer.error is not None:
            raise answer.error
        result: T = answer.result
        return result

    def close(self) -> None:
        """End the child and whatever it has started."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def _ask(self, task: ClipTask, request: bytes) -> Answer:
        for _ in range(_MOST_STARTS):
            process = self._running()
            first = process.calls == 0
            try:
                answer: Answer = pickle.loads(process.ask(request, task.timeout_s))
            except TimeoutError as error:
                raise task.failure(_TIMEOUT, str(error)) from None
            except HelperDied as death:
                self._process = None
                if death.begun and (first or death.reason == KILLED):
                    raise task.failure(death.reason, death.detail) from None
                continue
            if not answer.reason:
                return answer
            self.close()
            if first:
                raise task.failure(answer.reason, answer.detail)
        raise EngineError("helper processes die before they begin to work; see the system's log")

    def _running(self) -> HelperProcess:
        if self._process is None:
            self._process = HelperProcess(self._memory_limit_mb)
        return self._process


class HelperPool:
    """Several helpers, for threads: a call takes one that is free, or waits for one.

    Args:
        size: Number of helpers.
        memory_limit_mb: As of :class:`Helper`.
    """

    def __init__(self, size: int, memory_limit_mb: int) -> None:
        self._free: queue.LifoQueue[Helper] = queue.LifoQueue()
        for _ in range(size):
            self._free.put(Helper(memory_limit_mb))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(queue.Empty):
            while True:
                self._free.get_nowait().close()

    def call(
        self, task: ClipTask, function: Callable[P, T], /, *arguments: P.args, **keywords: P.kwargs
    ) -> T:
        """Call a function in a child; see :meth:`Helper.call`."""
        helper = self._free.get()
        try:
            return helper.call(task, function, *arguments, **keywords)
        finally:
            self._free.put(helper)


@functools.lru_cache(maxsize=4)
def own_helper(memory_limit_mb: int) -> Helper:
    """Return the helper of this process, one per memory limit."""
    return Helper(memory_limit_mb)
