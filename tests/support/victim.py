"""A run that a test kills, and whoever it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

import psutil

MARK = "K150K_TEST_RUN"


class Victim:
    """A run in a process group of its own, whose every descendant can be found by a mark."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, MARK: self.mark},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            # A test run started in the background hands down an ignored SIGINT.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def family(self) -> list[psutil.Process]:
        return [p for p in psutil.process_iter() if self._is_marked(p)]

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            return alive and process.environ().get(MARK) == self.mark
        except psutil.Error:
            return False

    def kill(self, whole_tree: bool = True) -> None:
        victims = [p.pid for p in self.family()] if whole_tree else []
        for pid in [self.process.pid, *victims]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()

    def survivors_after(self, seconds: float) -> list[psutil.Process]:
        deadline = time.monotonic() + seconds
        while (left := self.family()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left
