"""A helper process as its owner sees it: started, asked, ended with everything it has started."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

from k150k_pipeline.errors import EngineError
from k150k_pipeline.isolation.answers import BEGUN, READY
from k150k_pipeline.isolation.channel import Channel
from k150k_pipeline.isolation.deaths import CRASHED, count_oom_kills, describe_end, reason_of_death
from k150k_pipeline.isolation.time_limit import TimeLimit

_START_TIMEOUT_S = 120.0
_END_TIMEOUT_S = 5.0
_PAUSE_S = 0.005
_SAID_BYTES = 2000
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from k150k_pipeline.isolation.child import serve; serve(*map(int, sys.argv[2:]))"
)
# A thread per core of BLAS would reserve memory by the gigabyte, for sums of a few hundred numbers.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class HelperDied(Exception):  # noqa: N818 - an event, not a mistake
    """The process ended while it was asked something.

    Attributes:
        begun: Whether it had begun with it.
        reason: ``crashed``, ``memory`` or ``killed``.
        detail: Signal or exit status, and its last words.
    """

    def __init__(self, begun: bool, reason: str, detail: str) -> None:
        super().__init__(begun, reason, detail)
        self.begun, self.reason, self.detail = begun, reason, detail


class HelperProcess:
    """A process of its own session, which dies with the process that makes this object.

    Args:
        memory_limit_mb: Limit of the process and of each of its children, in MiB.

    Attributes:
        pid: Its process id, and the id of its session.
        calls: How many requests it was sent.

    Raises:
        EngineError: It cannot be started.
    """

    def __init__(self, memory_limit_mb: int) -> None:
        ours, theirs = socket.socketpair()
        self._stderr: IO[bytes] = os.fdopen(os.memfd_create("helper-stderr"), "rb+")
        self._channel = Channel(ours)
        with theirs:
            numbers = (theirs.fileno(), os.getpid(), memory_limit_mb)
            start = partial(
                subprocess.Popen,
                [sys.executable, "-c", _BOOT, json.dumps(sys.path), *map(str, numbers)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env={**os.environ, **_ENVIRONMENT},
            )
            self._process = starter(os.getpid()).submit(start).result()
        self.pid = self._process.pid
        self.calls = 0
        self._await_start(memory_limit_mb)

    def ask(self, request: bytes, timeout_s: float) -> bytes:
        """Send a request and return the answer.

        Raises:
            HelperDied: The process ended.
            TimeoutError: No answer in time; the message says what was running.
        """
        limit, oom_kills = TimeLimit(timeout_s), count_oom_kills()
        begun = False
        self.calls += 1
        self._stderr.seek(0)
        self._stderr.truncate()
        try:
            self._channel.send(request, limit)
            begun = self._channel.receive(limit) == BEGUN
            return self._channel.receive(limit)
        except TimeoutError:
            raise TimeoutError(f"no end after {timeout_s:g} s{self._busy_with()}") from None
        except (EOFError, OSError):
            self._await_end()
            raise self._death(begun, oom_kills) from None

    def end(self) -> None:
        """Kill the process and everything it has started."""
        self._channel.close()
        deadline = time.monotonic() + _END_TIMEOUT_S
        # Its own end is not asked for before: its number then cannot be another session's.
        while (members := session_members(self.pid)) and time.monotonic() < deadline:
            for pid in members:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_PAUSE_S)
        with suppress(subprocess.TimeoutExpired):  # a read that even a kill does not end
            self._process.wait(_END_TIMEOUT_S)
        self._stderr.close()

    def _await_start(self, memory_limit_mb: int) -> None:
        oom_kills = count_oom_kills()
        try:
            ready = self._channel.receive(TimeLimit(_START_TIMEOUT_S)) == READY
            problem = "" if ready else "it does not answer like one"
        except TimeoutError:
            problem = f"no sign of it after {_START_TIMEOUT_S:g} s"
        except (EOFError, OSError):
            self._await_end()
            problem = self._death(False, oom_kills).detail
        if problem:
            self.end()
            raise EngineError(
                f"cannot start a helper process with memory_limit_mb={memory_limit_mb}: {problem}"
            )

    def _await_end(self) -> None:
        """Wait for a process that has let go of its connection: only its own end tells why."""
        deadline = time.monotonic() + _END_TIMEOUT_S
        flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
        while os.waitid(os.P_PID, self.pid, flags) is None and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)

    def _death(self, begun: bool, oom_kills: int) -> HelperDied:
        said = self._last_words()
        self.end()
        returncode = self._process.returncode
        if returncode is None:
            return HelperDied(begun, CRASHED, "the helper process fell silent and cannot be ended")
        reason = reason_of_death(returncode, oom_kills, said)
        words = f": {said}" if said else ""
        return HelperDied(
            begun, reason, f"the helper process ended with {describe_end(returncode)}{words}"
        )

    def _last_words(self) -> str:
        self._stderr.seek(0)
        text = self._stderr.read()[-_SAID_BYTES:].decode("utf-8", errors="replace")
        return " | ".join(text.split("\n")).strip(" |")

    def _busy_with(self) -> str:
        tools = sorted({name for pid in session_members(self.pid) if (name := _name_of(pid))})
        tools = [name for name in tools if name != Path(sys.executable).name]
        return f"; {', '.join(tools)} was running" if tools else ""


@functools.cache
def starter(_pid: int) -> ThreadPoolExecutor:
    """Return the thread of this process that starts helpers.

    The kernel kills a helper when the thread that has started it ends, and the caller's may end
    while another one uses the helper.
    """
    return ThreadPoolExecutor(1, "helper-starter")


def session_members(session: int) -> list[int]:
    """Return the processes of a session that have not ended."""
    return [pid for pid in _all_pids() if _session_of(pid) == session]


def _all_pids() -> Iterator[int]:
    return (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdecimal())


def _session_of(pid: int) -> int | None:
    """Return the session of a process; None when it has ended."""
    try:
        # The name stands in parentheses and may itself have some.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, _, _, session = fields[:4]
    return None if state in "ZX" else int(session)


def _name_of(pid: int) -> str:
    try:
        return Path(os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0])).name
    except OSError:
        return ""
