"""A run in a terminal of its own, and what a person sees of it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path

_TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|[\r\n]|[^\x1b\r\n]+")


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # A test run started in the background hands down an ignored SIGINT.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class TerminalRun:
    """A command whose standard streams are a terminal."""

    def __init__(self, command: list[str], folder: Path, columns: int) -> None:
        self._reader, writer = pty.openpty()
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, "TERM": "xterm"},
            stdin=writer,
            stdout=writer,
            stderr=writer,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(writer)
        self.columns = columns
        self.written = b""

    def type(self, keys: bytes) -> None:
        os.write(self._reader, keys)

    def read(self, until: Callable[[str], bool] = lambda _: False) -> str:
        """Read what is written, to its end or until it has what is waited for."""
        while not until(self.written.decode(errors="replace")):
            try:
                self.written += os.read(self._reader, 65536)
            except OSError:  # nobody has the terminal any more
                break
        return self.written.decode(errors="replace")

    def end(self) -> int:
        self.read()
        os.close(self._reader)
        return self.process.wait()

    def screen(self) -> list[str]:
        """Return the lines that are left on an endless screen."""
        return render(self.written.decode(errors="replace"), self.columns)


def render(written: str, columns: int) -> list[str]:
    """Return what a terminal shows; lines that wrap take several of its lines."""
    lines, row, column = [""], 0, 0
    for token in _TOKEN.finditer(written):
        text = token.group()
        if text == "\r":
            column = 0
        elif text == "\n":
            row += 1
        elif token.group(2) == "K":
            lines[row] = ""
        elif token.group(2) == "A":
            row = max(row - int(token.group(1) or 1), 0)
        elif not text.startswith("\x1b"):
            for character in text:
                if column == columns:
                    row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
                line = lines[row].ljust(column)
                lines[row] = line[:column] + character + line[column + 1 :]
                column += 1
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines]
