"""The helper process itself: does what it is asked for until nobody can ask any more."""

from __future__ import annotations

import socket

from k150k_pipeline.isolation.answers import BEGUN, READY, answer
from k150k_pipeline.isolation.channel import Channel
from k150k_pipeline.isolation.confine import confine


def serve(descriptor: int, parent: int, memory_limit_mb: int) -> None:
    """Answer requests, one after the other.

    Args:
        descriptor: This process's end of the connection.
        parent: Process id of the other end.
        memory_limit_mb: Limit of this process and of each of its children, in MiB.
    """
    confine(parent, memory_limit_mb)
    channel = Channel(socket.socket(fileno=descriptor))
    channel.send(READY)
    while True:
        try:
            request = channel.receive()
        except (EOFError, OSError):
            return
        channel.send(BEGUN)
        channel.send(answer(request))
