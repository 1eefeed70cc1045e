"""Draw the terminal during a run on the sample into docs/pictures/terminal.svg: ``make picture``.

The run is real: in a folder of its own, on a pseudo-terminal, whose output is kept.
"""

from __future__ import annotations

import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

PROJECT = Path(__file__).resolve().parents[1]
PICTURE = PROJECT / "docs/pictures/terminal.svg"
COMMAND = ("run", "--env=sample", "--pipelines=extract")

_WIDTH, _HEIGHT = 110, 40
_LINKED = ("pyproject.toml", ".telemetry", "conf", "src/k150k_pipeline")
_CONTROL = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|\r|\n")
_FONT = re.compile(r"\s*@font-face \{[^}]*\}")  # it is at an address, and pictures load nothing
_REDRAWN = b"\r\x1b[2K"  # what rich writes before it draws a bar again
_BAR = re.compile(r" (\d+)/(\d+) ")
_SHOWN = 0.7  # of the clips are done at most in the frame that is drawn
_GREY, _LIGHT = (30, 34, 40), (222, 226, 230)
_THEME = TerminalTheme(
    _GREY,
    _LIGHT,
    [_GREY, (224, 108, 117), (126, 192, 120), (229, 192, 123), (97, 175, 239), (198, 120, 221),
     (86, 182, 194), _LIGHT],
    [(120, 128, 136), (240, 113, 120), (126, 192, 120), (229, 192, 123), (97, 175, 239),
     (198, 120, 221), (86, 182, 194), (255, 255, 255)],
)  # fmt: skip


class Screen:
    """The lines of a terminal, with their colours as escape codes.

    It knows what rich and our log write: text, ends of lines, upwards, and erasing a line.
    """

    def __init__(self) -> None:
        self.lines = [""]
        self._row = 0

    def write(self, text: str) -> None:
        """Take in what a program wrote."""
        at = 0
        for control in _CONTROL.finditer(text):
            self._put(text[at : control.start()])
            self._obey(control)
            at = control.end()
        self._put(text[at:])

    def _put(self, text: str) -> None:
        self.lines[self._row] += text

    def _obey(self, control: re.Match[str]) -> None:
        if control[0] == "\n":
            self._row += 1
            self.lines += [""] * (self._row + 1 - len(self.lines))
        elif control[2] == "A":
            self._row = max(self._row - int(control[1] or 1), 0)
        elif control[2] == "K":
            self.lines[self._row] = ""
        elif control[2] == "m":
            self._put(control[0])


def run(folder: Path) -> Iterator[str]:
    """Yield what a run on the sample writes to a terminal, as it writes it.

    Args:
        folder: An empty folder, in which it runs as in a checkout.

    Raises:
        SystemExit: The run failed.
    """
    for name in _LINKED:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(PROJECT / name)
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", _HEIGHT, _WIDTH, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(_WIDTH)}
    command = [sys.executable, "-m", "kedro", *COMMAND]
    with subprocess.Popen(
        command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        yield from _read(ours)
    os.close(ours)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed in {folder}")


def _read(descriptor: int) -> Iterator[str]:
    """Yield what arrives, in pieces after which a picture of the bar is complete."""
    kept = b""
    while True:
        try:
            new = os.read(descriptor, 65536)
        except OSError:  # what Linux raises at the end of a pseudo-terminal
            new = b""
        first, *others = (kept + new).split(_REDRAWN)
        pieces = [first, *(_REDRAWN + piece for piece in others)]
        kept = pieces.pop() if new else b""
        yield from (piece.decode("utf-8", "replace") for piece in pieces)
        if not new:
            return


def frame(writes: Iterator[str], folder: Path) -> list[str]:
    """Return the lines of the screen while the clips are in work.

    Args:
        writes: What the run writes.
        folder: Where it runs; the lines have paths relative to it.
    """
    screen, chosen = Screen(), [""]
    for text in writes:
        screen.write(text)
        if _done(screen.lines) <= _SHOWN:
            chosen = list(screen.lines)
    lines = [line.replace(f"{folder}/", "") for line in chosen]
    return [line for line in lines if line.strip()]


def _done(lines: list[str]) -> float:
    """Return the share of the clips that are done; 2 where there is no bar."""
    bars = [found for line in lines if (found := _BAR.search(line))]
    return int(bars[-1][1]) / int(bars[-1][2]) if bars and int(bars[-1][1]) else 2


def draw(lines: list[str]) -> str:
    """Return the screen as SVG."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ kedro " + " ".join(COMMAND), style="bold"))
    for line in lines:
        console.print(Text.from_ansi(line), highlight=False)
    picture = console.export_svg(title="make sample", theme=_THEME, unique_id="terminal")
    return _FONT.sub("", picture)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary).resolve() / "k150k-pipeline"
        place.mkdir()
        PICTURE.write_text(draw(frame(run(place), place)), "utf-8")
