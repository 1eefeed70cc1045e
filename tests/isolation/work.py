"""What tests let a helper do: useful work, and every way of not coming back from it."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import sys
import time
from pathlib import Path

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media.tools import run_tool


def add(a: int, b: int = 0) -> int:
    return a + b


def pid() -> int:
    return os.getpid()


def modules() -> list[str]:
    return sorted(sys.modules)


def raise_error(error: Exception) -> None:
    raise error


def raise_caused_by_want_of_memory() -> None:
    try:
        raise OSError(errno.ENOMEM, "no")
    except OSError as error:
        raise ClipError("probe", "not_media", "looks bad") from error


def die_of(number: int, note: str | None = None, then: int = 0) -> int:
    """Die of a signal, or return a value where a note says that it has been done before."""
    if note is not None:
        if Path(note).exists():
            return then
        Path(note).touch()
    if number == signal.SIGHUP:  # nohup lets it be ignored
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    time.sleep(60)
    return then


def read_address_zero() -> None:
    ctypes.string_at(0)


def abort_with(words: str) -> None:
    os.write(2, words.encode() + b"\n")
    os.abort()


def leave(status: int) -> None:
    os._exit(status)


def take(megabytes: int) -> int:
    return len(bytearray(megabytes << 20))


def hang(note: str) -> None:
    Path(note).write_text(str(os.getpid()))
    signal.pause()


def hold(note: str) -> None:
    """Hang with Python's lock held: no Python code of this process runs any more."""
    Path(note).write_text(str(os.getpid()))
    ctypes.PyDLL(None).pause()


def read_all(path: str) -> bytes:
    return Path(path).read_bytes()


def run_for_ever(note: str) -> None:
    """Start a tool that starts another one, and wait for them."""
    script = f"sleep 600 & echo $$ $! > {note}.part; mv {note}.part {note}; wait"
    run_tool(["sh", "-c", script], timeout_s=600)


def tool_status(*argv: str) -> tuple[int, str]:
    result = run_tool(argv, timeout_s=120)
    return result.returncode, result.stderr


def situation() -> dict[str, object]:
    return {
        "data": resource.getrlimit(resource.RLIMIT_DATA),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "oom": Path("/proc/self/oom_score_adj").read_text().strip(),
        "session": os.getsid(0),
        "pid": os.getpid(),
        "tool": run_tool(
            ["sh", "-c", "ulimit -d; ulimit -c; cat /proc/self/oom_score_adj"], timeout_s=20
        ).stdout.split(),
    }


def unpicklable() -> object:
    return lambda: None
