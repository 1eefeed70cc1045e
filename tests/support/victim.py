"""A run that a test kills, and whoever it leaves behind."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from tests.support.kedro_server import ForkedKedro, kedro_server
from tests.support.waiting import DEATH_GUARD_S, HANG_GUARD_S, comes_true, wait_until

_JITTER_S = 0.05
_MARK = "K150K_TEST_RUN"


def _stop_ignoring() -> None:
    """Undo what a test run in the background, or under nohup, hands down to its children."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


class Victim:
    """A run of Kedro in a session of its own; its helpers have sessions, but carry its mark.

    Args:
        process: A process that leads a session.
        output: Returns what it has written so far.
        mark: Entry of the environment of all its descendants.
    """

    def __init__(
        self,
        process: ForkedKedro | subprocess.Popen[bytes],
        output: Callable[[], str],
        mark: Mapping[str, str],
    ) -> None:
        self.process = process
        self.output = output
        self._mark = mark

    @classmethod
    def fork(cls, arguments: Sequence[str], folder: Path) -> Victim:
        """Start a run from the Kedro server; its default runner starts workers all the same."""
        mark = {_MARK: uuid.uuid4().hex}
        process = kedro_server().start(arguments, folder, mark)
        return cls(process, process.output, mark)

    @classmethod
    def start(cls, command: Sequence[str], folder: Path, output: Path | None = None) -> Victim:
        """Start a command as a shell does; its output goes to a file, by default in its folder."""
        mark = {_MARK: uuid.uuid4().hex}
        output = output or folder / "output.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **mark},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_stop_ignoring,
            )
        return cls(process, output.read_text, mark)

    @property
    def pid(self) -> int:
        return self.process.pid

    def ended(self) -> bool:
        return self.process.poll() is not None

    def reaches(self, condition: Callable[[], bool]) -> bool:
        """Wait until a condition holds; False if the run ends before it does."""
        wait_until(lambda: condition() or self.ended())
        return not self.ended()

    def family(self) -> list[psutil.Process]:
        return [p for p in psutil.process_iter() if self._is_member(p)]

    def _is_member(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            ours = os.getsid(process.pid) == self.pid
            return ours or self._mark.items() <= process.environ().items()
        except (psutil.Error, ProcessLookupError):
            return False

    def kill(self, whole_tree: bool = True, moments: random.Random | None = None) -> None:
        """Kill the run with SIGKILL, a moment later if moments are drawn, and see it end.

        What a run has reached is always the same point of its work. The moment that passes
        before the kill spreads the kills over what comes between two such points.
        """
        time.sleep(moments.uniform(0, _JITTER_S) if moments else 0)
        if not self.ended():
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if whole_tree else os.kill)(self.pid, signal.SIGKILL)
        if whole_tree:
            self._kill_the_rest()
        self.process.wait(timeout=HANG_GUARD_S)

    def _kill_the_rest(self) -> None:
        """Kill the tools, which have groups of their own, unless they have died already."""
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def survivors(self) -> list[psutil.Process]:
        """Return who lives on though the run is dead."""
        comes_true(lambda: not self.family(), DEATH_GUARD_S)
        return self.family()
