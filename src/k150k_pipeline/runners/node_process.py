"""Processes that run nodes for a worker of a cluster: replaced when they die, killed on demand.

A worker of Dask may have many threads and may itself be a process that may start none of
multiprocessing's. Each of its threads asks a process of its own, which can be killed when the run
ends, and whose death, of a clip or for want of memory, the worker outlives and can explain.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from k150k_pipeline.errors import InputError, WorkerDiedError
from k150k_pipeline.isolation.answers import BEGUN
from k150k_pipeline.isolation.channel import Channel
from k150k_pipeline.isolation.deaths import (
    NOBODY_SAW,
    count_oom_kills,
    describe_end,
    reason_of_death,
)
from k150k_pipeline.isolation.helper_process import starter
from k150k_pipeline.runners.node_child import END_OF_OUTPUT

MOST_DEATHS = 5
_END_TIMEOUT_S = 5.0
_LAST_LINES_S = 2.0
_READ_BYTES = 1 << 16
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from k150k_pipeline.runners.node_child import serve; serve(*map(int, sys.argv[2:]))"
)

Report = Callable[[str, str], None]
"""Takes a kind, ``output`` or ``warning``, and a text."""


class EndedError(Exception):
    """The run has ended, or the node is wanted here no longer."""


class _Died(Exception):  # noqa: N818 - an event, not a mistake
    """The process ended while it was asked something, or before, when it was idle."""


class NodeProcess:
    """A process in a session of its own, which dies with the process that makes this object.

    Args:
        folder: Its working directory.
        environment: Variables that it has besides those of this process.
        report: Takes what it writes to stdout and stderr.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], report: Report) -> None:
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        self._no_output_left = threading.Event()
        with theirs:
            numbers = (theirs.fileno(), os.getpid())
            start = partial(
                subprocess.Popen,
                [sys.executable, "-c", _BOOT, json.dumps(sys.path), *map(str, numbers)],
                cwd=folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
            self._process = starter(os.getpid()).submit(start).result()
        threading.Thread(target=self._read, args=(report,), daemon=True).start()
        self._calls = 0

    def ask(self, request: bytes) -> bytes | None:
        """Send a request and return the answer; None where the process had ended while idle.

        Raises:
            _Died: It ended over the request.
        """
        first, begun = self._calls == 0, False
        self._calls += 1
        self._no_output_left.clear()
        try:
            self._channel.send(request)
            begun = self._channel.receive() == BEGUN
            answer = self._channel.receive()
        except (EOFError, OSError):
            if begun or first:
                raise _Died from None
            return None
        self._no_output_left.wait(_LAST_LINES_S)
        return answer

    def kill(self) -> None:
        """End the process now; whatever it has started ends with it."""
        self._process.kill()

    def wait(self) -> int:
        """Wait for the end of the process and return its exit status, 1 if it does not end."""
        try:
            return self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return 1

    def _read(self, report: Report) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            while data := os.read(pipe.fileno(), _READ_BYTES):
                if text := data.replace(END_OF_OUTPUT, b"").decode("utf-8", "replace"):
                    report("output", text)
                if END_OF_OUTPUT in data:
                    self._no_output_left.set()
        self._no_output_left.set()


@dataclass
class _Call:
    """A node that is being run."""

    process: NodeProcess | None = None
    ended: bool = False


class NodeProcesses:
    """The processes of one run on one worker: one per node that runs at a time.

    Args:
        folder: Working directory of the run.
        environment: Variables that they have besides those of this process.
        report: Takes what they write, and warnings.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], report: Report) -> None:
        self._folder = folder
        self._environment = environment
        self._report = report
        self._idle: list[NodeProcess] = []
        self._calls: dict[Hashable, _Call] = {}
        self._one_step = threading.Lock()
        self._ended = False

    def run(self, key: Hashable, task: bytes) -> bytes:
        """Run a node; when its process dies, run it in another one.

        Args:
            key: Identifies it for :meth:`cancel`.
            task: Kedro's task, pickled.

        Returns:
            The pickled error of the node, or None.

        Raises:
            EndedError: It was cancelled, or the run has ended.
        """
        call = _Call()
        with self._one_step:
            self._calls[key] = call
        try:
            return self._run(call, task)
        except (InputError, WorkerDiedError) as error:
            return pickle.dumps(error)
        finally:
            with self._one_step:
                del self._calls[key]

    def cancel(self, key: Hashable) -> None:
        """Kill the process that runs a node, if one does."""
        with self._one_step:
            if call := self._calls.get(key):
                call.ended = True
                if call.process is not None:
                    call.process.kill()

    def end(self) -> None:
        """Kill all processes and see them end."""
        with self._one_step:
            self._ended = True
            busy = [call.process for call in self._calls.values() if call.process]
            processes = [*self._idle, *busy]
            for process in processes:
                process.kill()
        for process in processes:
            process.wait()

    def _run(self, call: _Call, task: bytes) -> bytes:
        death, deaths = NOBODY_SAW, 0
        while deaths < MOST_DEATHS:
            process, oom_kills = self._take(call), count_oom_kills()
            try:
                answer = process.ask(pickle.dumps((death, task)))
            except _Died:
                death, deaths = self._autopsy(call, process, oom_kills), deaths + 1
                continue
            if answer is not None:
                self._give_back(call, process)
                return answer
            process.wait()
        raise WorkerDiedError(
            f"the process of a node died {deaths} times on host {socket.gethostname()}; last: "
            f"{death[1]}. If memory ran out, give that worker fewer threads (--nthreads)"
        )

    def _take(self, call: _Call) -> NodeProcess:
        with self._one_step:
            process = self._idle.pop() if self._idle else None
        process = process or self._start()
        with self._one_step:
            call.process = process
            if call.ended or self._ended:
                process.kill()
                raise EndedError
        return process

    def _start(self) -> NodeProcess:
        try:
            return NodeProcess(self._folder, self._environment, self._report)
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise InputError(
                f"host {socket.gethostname()} cannot work in {self._folder} ({error.strerror}): "
                "every worker must see the project under the same path as the client, such as on "
                "a shared file system"
            ) from error

    def _give_back(self, call: _Call, process: NodeProcess) -> None:
        with self._one_step:
            call.process = None
            self._idle.append(process)
            if self._ended:
                process.kill()

    def _autopsy(self, call: _Call, process: NodeProcess, oom_kills: int) -> tuple[str, str]:
        code = process.wait()
        with self._one_step:
            call.process = None
            if call.ended or self._ended:
                raise EndedError
        detail = f"its process ended with {describe_end(code)}"
        with suppress(Exception):  # the node goes on all the same
            self._report("warning", f"A new process goes on on {socket.gethostname()}: {detail}")
        return reason_of_death(code, oom_kills), detail
