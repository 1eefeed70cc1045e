"""Child processes, each with a process group and a time limit; they die with this process."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from k150k_pipeline.errors import ClipError, EngineError

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ToolTimeoutError(Exception):
    """A tool ran past its time limit and was killed."""


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
        tail = " | ".join(self.stderr.strip().splitlines()[-lines:])
        return f"exit status {self.returncode} of `{shlex.join(self.argv)}`: {tail}"


def die_with_parent(expected_parent: int | None = None) -> None:
    """Ask the kernel to kill this process when its parent dies (Linux; elsewhere a no-op).

    Args:
        expected_parent: Process id of the parent. When it is given and is already gone,
            this process ends at once, since the kernel only reports deaths still to come.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if expected_parent is not None and os.getppid() != expected_parent:
        os._exit(1)


def run_tool(argv: Sequence[str], *, timeout_s: float, pass_fds: Sequence[int] = ()) -> ToolResult:
    """Run a tool to its end and return its output.

    The tool has its own process group, so that Ctrl-C does not reach it directly. The whole group
    is killed on a timeout or on any exception here.

    Args:
        argv: The command; no shell is involved.
        timeout_s: Wall-clock limit in seconds.
        pass_fds: File descriptors that the tool inherits.

    Raises:
        ToolTimeoutError: The limit was reached.
        OSError: The tool cannot be started.
    """
    parent = os.getpid()
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
        stdout, stderr = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise ToolTimeoutError(f"no end after {timeout_s:g} s: {shlex.join(argv)}") from error
    finally:
        if process.poll() is None:
            _kill_group(process)
    return ToolResult(
        tuple(argv), process.returncode, stdout, stderr.decode("utf-8", errors="replace")
    )


@contextmanager
def tool_errors(stage: str, clip: Path, tool: str) -> Iterator[None]:
    """Turn a tool that hangs into a failure of the clip, and one that does not start into ours.

    Raises:
        ClipError: Reason ``timeout``.
        EngineError: The tool cannot be run.
    """
    try:
        yield
    except ToolTimeoutError as error:
        raise ClipError(stage, "timeout", f"{clip}: {error}") from error
    except OSError as error:
        raise EngineError(
            f"{tool} cannot be run: {error}. Make sure that it is an executable file"
        ) from error


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
