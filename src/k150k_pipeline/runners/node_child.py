"""The process that runs nodes for a worker of a cluster, until nobody can ask for any more."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import traceback

from k150k_pipeline.isolation.answers import BEGUN
from k150k_pipeline.isolation.channel import Channel
from k150k_pipeline.isolation.confine import die_with_parent
from k150k_pipeline.isolation.deaths import note_predecessor
from k150k_pipeline.isolation.time_limit import TimeLimit

END_OF_OUTPUT = b"\0"
"""What the process writes to stderr when a node has ended: no line of that node follows."""

_IDLE_S = 60.0


def serve(descriptor: int, parent: int) -> None:
    """Run nodes, one after the other; end when there has been none for a minute.

    Args:
        descriptor: This process's end of the connection.
        parent: Process id of the other end.
    """
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _configure()
    channel = Channel(socket.socket(fileno=descriptor))
    while True:
        try:
            request = channel.receive(TimeLimit(_IDLE_S))
            channel.send(BEGUN)
            channel.send(_answer(request))
        except (EOFError, OSError):
            return


def _configure() -> None:
    """Make the settings known; as in runners/process.py, the project as a whole stays unnamed."""
    from k150k_pipeline.configuration import prepare_kedro

    prepare_kedro()
    from kedro.framework import project

    project.settings.configure("k150k_pipeline.settings")


def _answer(request: bytes) -> bytes:
    """Run a node and return its error, or None, as bytes."""
    death, task = pickle.loads(request)
    note_predecessor(*death)
    error: BaseException | None = None
    try:
        pickle.loads(task)()
    except BaseException as raised:
        raised.add_note(traceback.format_exc())
        error = raised
    sys.stdout.flush()
    os.write(sys.stderr.fileno(), END_OF_OUTPUT)
    return _as_bytes(error)


def _as_bytes(error: BaseException | None) -> bytes:
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return data
