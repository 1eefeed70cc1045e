"""A limit on the processes that use the GPU at once, for all workers and runs of a user."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

_NAME = f"k150k-pipeline-gpu-{os.getuid()}"
_PAUSE_S = 0.02


@contextmanager
def gpu_slot(slots: int) -> Iterator[None]:
    """Wait until one of ``slots`` slots is free, and hold it within the block.

    A slot is a name in Linux's abstract socket namespace: it leaves no file behind, and the
    kernel frees it when its holder dies.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as holder:
        while not any(_take(holder, number) for number in range(slots)):
            time.sleep(_PAUSE_S)
        yield


def _take(holder: socket.socket, number: int) -> bool:
    try:
        holder.bind(f"\0{_NAME}-{number}")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True
