"""Kedro's command line without the seconds in which Python imports it.

A server that has everything imported forks a process for each call. Such a process has its own
session, working directory, environment, output and exit status, and goes through Kedro's own entry
point. Three things it cannot show: a start of Python that fails, its end, and results that depend
on the seed of Python's hashes, which all forks share. For those there is ``python -m kedro``.

As a program it answers calls on the socket whose descriptor is its argument.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from k150k_pipeline.media.tools import die_with_parent
from tests.support.waiting import HANG_GUARD_S

FAULT = "K150K_TEST_FAULT"
"""Variable of a call whose process arms itself; see tests.support.faults."""

_CHECKOUT = Path(__file__).resolve().parents[2]
_MESSAGE_BYTES = 1 << 17
# No onnxruntime: it starts a thread that no fork has, and for which it waits at its end.
_IMPORTED = (
    "fsspec.implementations.local",
    "kedro.framework.cli",
    "kedro.framework.session",
    "kedro.runner",
    "kedro_telemetry.plugin",
    "kedro_viz.integrations.kedro.hooks",
    "kedro_viz.launchers.cli.main",
    "onnx",
    "plotly.graph_objects",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "sklearn.ensemble",
    "sklearn.inspection",
    "sklearn.linear_model",
    "sklearn.neural_network",
    "sklearn.svm",
    "k150k_pipeline.cli",
    "k150k_pipeline.pipeline_registry",
    "k150k_pipeline.settings",
)


class ForkedKedro:
    """A call that the server has been given, as ``subprocess.Popen`` shows a process.

    Attributes:
        pid: Process id, which is that of its session too.
        returncode: Exit status, negative after a signal; None while it is not known.
    """

    def __init__(self, pid: int, status: socket.socket, output: Any) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status
        self._output = output

    def poll(self) -> int | None:
        """Return the exit status if the process has ended."""
        try:
            return self.wait(0)
        except (TimeoutError, BlockingIOError):
            return None

    def wait(self, timeout: float = HANG_GUARD_S) -> int:
        """Return the exit status once the process has ended.

        Raises:
            TimeoutError: It has not.
        """
        if self.returncode is None:
            self._status.settimeout(timeout)
            self.returncode = int(self._status.recv(_MESSAGE_BYTES))
            self._status.close()
        return self.returncode

    def output(self) -> str:
        """Return what the process has written to stdout and stderr so far."""
        end = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), end, 0).decode()


class KedroServer:
    """The server as a test process sees it; it ends when the test process does.

    Args:
        environment: A few variables more of the server's process.
        launcher: A command that runs the server, such as ``unshare``, with its arguments.

    Attributes:
        pid: Process id of the server.
    """

    def __init__(
        self, environment: Mapping[str, str] | None = None, launcher: Sequence[str] = ()
    ) -> None:
        self._calls, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            program = f"import {__name__} as s; s.main()"
            process = subprocess.Popen(
                [*launcher, sys.executable, "-c", program, str(theirs.fileno())],
                cwd=_CHECKOUT,
                env={**os.environ, **(environment or {})},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self.pid = process.pid

    def start(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> ForkedKedro:
        """Start ``python -m kedro`` with arguments in a folder, and a few variables more."""
        variables = {**os.environ, **(environment or {})}
        request = {"argv": list(arguments), "cwd": str(folder), "env": variables}
        status, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        status.settimeout(HANG_GUARD_S)
        output = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as the call)
        with theirs:
            descriptors = [output.fileno(), theirs.fileno()]
            socket.send_fds(self._calls, [json.dumps(request).encode()], descriptors)
        return ForkedKedro(int(status.recv(_MESSAGE_BYTES)), status, output)


@functools.cache
def kedro_server() -> KedroServer:
    """Return the server of this test process."""
    return KedroServer()


def _serve(calls: socket.socket) -> None:
    """Answer calls until the test process is gone; return in the processes of Kedro alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    while True:
        message, descriptors, _, _ = socket.recv_fds(calls, _MESSAGE_BYTES, 2)
        if not message:
            _bury_the_dead()
            os._exit(0)
        output, status = descriptors
        if not os.fork():
            calls.close()
            _fork_and_report(socket.socket(fileno=status))
            _take_place(json.loads(message), output)
            return
        os.close(output)
        os.close(status)
        _bury_the_dead()


def _bury_the_dead() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue


def _fork_and_report(status: socket.socket) -> None:
    """Fork the process of Kedro, wait for its end and report it; return in that process."""
    die_with_parent()
    child = os.fork()
    if child:
        status.send(str(child).encode())
        _, ended = os.waitpid(child, 0)
        status.send(str(os.waitstatus_to_exitcode(ended)).encode())
        os._exit(0)
    status.close()


def _take_place(request: dict[str, Any], output: int) -> None:
    """Make this process what a shell would have started."""
    os.setsid()
    die_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):  # ignored under nohup, or in the background
        signal.signal(number, signal.SIG_DFL)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[0] = request["cwd"]
    sys.argv = ["python -m kedro", *request["argv"]]


def arm(
    library: str, folder: str, calls: int, number: int, action: int, error: int, trace: str
) -> None:
    """Inject a fault into this process, into which the library is preloaded."""
    arm = ctypes.CDLL(library).faults_arm
    arm.argtypes = [
        ctypes.c_char_p,
        ctypes.c_uint,
        ctypes.c_long,
        *[ctypes.c_int] * 2,
        ctypes.c_char_p,
    ]
    arm(os.fsencode(folder), calls, number, action, error, os.fsencode(trace))


def main() -> None:
    """Serve; in a forked process, run Kedro."""
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else each fork copies every page at its first collection
    _serve(socket.socket(fileno=int(sys.argv[1])))
    from kedro.framework import project
    from kedro.framework.cli import main as kedro

    if fault := os.environ.pop(FAULT, ""):
        arm(**json.loads(fault))
    project.LOGGING.__init__()  # it looked for conf/logging.yml when it was imported
    _end_at_once(kedro)


def _end_at_once(program: Callable[[], object]) -> None:
    """Run a program to its end and leave out the end of the interpreter.

    That would free every object of every module, whose pages the fork shares with the server: a
    third of the time of a call.
    """
    try:
        program()
        status = 0
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        status = end.code or 0
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
