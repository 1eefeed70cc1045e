"""Child processes, each with a process group and a time limit; they die with this process."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from k150k_pipeline.errors import KILLED, ClipError, EngineError
from k150k_pipeline.isolation.confine import die_with_parent
from k150k_pipeline.isolation.deaths import (
    count_oom_kills,
    describe_end,
    lacks_memory,
    reason_of_death,
)
from k150k_pipeline.isolation.time_limit import TimeLimit

_CAUGHT = re.compile(
    r"^(?:\[info\] )?Exiting normally, received signal \d+\.$"
    r"|Received > \d+ system signals, hard exiting$",
    re.MULTILINE,
)
"""Line of an ffmpeg that catches a signal and ends with an exit status of its own.

While it opens its input, that status may be 0. Titles of clips stand in other lines.
"""

_OF_A_HANG = 12
"""Last lines of stderr in the message about a tool that hangs: nothing else tells why it does."""


class ToolError(Exception):
    """A tool did not come to an end of its own.

    Attributes:
        reason: ``timeout``, or what its death means
            (:func:`~k150k_pipeline.isolation.deaths.reason_of_death`).
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True)
class ToolResult:
    """Exit status and output of a finished tool.

    Attributes:
        argv: The command.
        returncode: Exit status; minus the number of the signal that ended it, if one did.
        stdout: Raw bytes.
        stderr: Text, with undecodable bytes replaced.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: str

    def describe(self, lines: int = 4) -> str:
        """Return command, exit status and the last lines of stderr, for an error message."""
        tail = _last_lines(self.stderr, lines)
        return f"{describe_end(self.returncode)} of `{shlex.join(self.argv)}`: {tail}"


def run_tool(argv: Sequence[str], *, timeout_s: float, pass_fds: Sequence[int] = ()) -> ToolResult:
    """Run a tool to its end and return its output.

    The tool has its own process group, so that Ctrl-C does not reach it directly. The whole group
    is killed on a timeout or on any exception here.

    Args:
        argv: The command; no shell is involved.
        timeout_s: Wall-clock limit in seconds.
        pass_fds: File descriptors that the tool inherits.

    Raises:
        ToolError: The limit was reached, a signal ended it, or it failed for want of memory.
        OSError: The tool cannot be started.
    """
    parent, oom_kills = os.getpid(), count_oom_kills()
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
        pass_fds=tuple(pass_fds),
        # A tool does not set its own death signal, so it is set between fork and exec.
        preexec_fn=lambda: die_with_parent(parent),
    )
    try:
        stdout, stderr = _output_of(process, argv, timeout_s)
    finally:
        if process.poll() is None:
            _kill_group(process)
    text = stderr.decode("utf-8", errors="replace")
    result = ToolResult(tuple(argv), process.returncode, stdout, text)
    _refuse_death(result, oom_kills)
    return result


def _output_of(
    process: subprocess.Popen[bytes], argv: Sequence[str], timeout_s: float
) -> tuple[bytes, bytes]:
    limit, said = TimeLimit(timeout_s), b""
    while turn := limit.turn():
        try:
            return process.communicate(timeout=turn)
        except subprocess.TimeoutExpired as error:
            said = error.stderr or said
    tail = _last_lines(said.decode("utf-8", errors="replace"), _OF_A_HANG)
    raise ToolError("timeout", f"no end after {timeout_s:g} s of `{shlex.join(argv)}`: {tail}")


def _last_lines(text: str, lines: int) -> str:
    return " | ".join(text.strip().splitlines()[-lines:])


def _refuse_death(result: ToolResult, oom_kills: int) -> None:
    if caught := _CAUGHT.search(result.stderr):
        raise ToolError(KILLED, f"{caught[0]}: {result.describe()}")
    if result.returncode < 0 or (result.returncode and lacks_memory(result.stderr)):
        reason = reason_of_death(result.returncode, oom_kills, result.stderr)
        raise ToolError(reason, result.describe())


@contextmanager
def tool_errors(stage: str, clip: Path, tool: str) -> Iterator[None]:
    """Turn a tool without a proper end into a failure, and one that does not start into ours.

    Raises:
        ClipError: Reasons ``timeout``, ``crashed``, ``memory``, ``killed``.
        EngineError: The tool cannot be run.
    """
    try:
        yield
    except ToolError as error:
        raise ClipError(stage, error.reason, f"{clip}: {error}") from error
    except OSError as error:
        raise EngineError(
            f"{tool} cannot be run: {error}. Make sure that it is an executable file"
        ) from error


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
