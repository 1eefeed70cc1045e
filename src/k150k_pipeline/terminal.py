"""The terminal of a run: the bar, the log and the output of workers share one console."""

from __future__ import annotations

import io
import logging
import os
import threading
from codecs import getincrementaldecoder
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.text import Text

DRAWING = threading.RLock()
"""Lock to hold while drawing, as rich allows one thread to draw while another redraws its bar."""

_MAKING = threading.Lock()
_REPLACED = "\N{REPLACEMENT CHARACTER}"
_STANDARD_DESCRIPTORS = (1, 2)
_LAST_LINES_S = 2.0


class _LockedConsole(Console):
    """A console that prints for one thread at a time."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does."""
        with DRAWING:
            super().print(*objects, **options)


def console() -> Console:
    """Return the one console on stderr; a second one would write over its bar."""
    with _MAKING:  # the cache alone lets each thread that asks before the first answer make one
        return _only_console()


@cache
def _only_console() -> Console:
    return _LockedConsole(stderr=True, highlight=False)


def printable(text: str) -> str:
    """Return a text from outside, such as a clip name, without what moves or colours a terminal."""
    return "".join(each if each.isprintable() else _REPLACED for each in text)


class LinesAbove(io.TextIOBase):
    """A text stream whose lines are printed above the bar of a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rest = ""

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Print the complete lines; the console does not wrap them."""
        *lines, self._rest = (self._rest + text).split("\n")
        if lines:
            self._console.print(Text("\n".join(lines)), soft_wrap=True)
        return len(text)


@contextmanager
def log_above() -> Iterator[None]:
    """Make the log write to the terminal through the console, within the block."""
    with ExitStack() as moved:
        for handler in _handlers():
            _move(handler, moved)
        yield


def _handlers() -> list[logging.Handler]:
    known = [logging.root, *logging.root.manager.loggerDict.values()]
    loggers = [logger for logger in known if isinstance(logger, logging.Logger)]
    return [handler for logger in loggers for handler in logger.handlers]


def _move(handler: logging.Handler, moved: ExitStack) -> None:
    if isinstance(handler, RichHandler) and handler.console.is_terminal:
        moved.callback(setattr, handler, "console", handler.console)
        handler.console = console()
    elif isinstance(handler, logging.StreamHandler) and _is_terminal(handler.stream):
        moved.callback(handler.setStream, handler.stream)
        handler.setStream(LinesAbove(console()))


def _is_terminal(stream: object) -> bool:
    return bool(getattr(stream, "isatty", bool)())


@contextmanager
def worker_output() -> Iterator[Connection | None]:
    """Yield a pipe for :func:`write_to`, whose lines are printed above the bar.

    Workers that write to the terminal themselves would write into the bar. Off a terminal there
    is no bar, and None is yielded.
    """
    if not console().is_terminal:
        yield None
        return
    reader, writer = Pipe(duplex=False)
    thread = threading.Thread(target=_print_lines, args=(reader,), name="workers", daemon=True)
    thread.start()
    try:
        yield writer
    finally:
        writer.close()
        thread.join(_LAST_LINES_S)


def write_to(output: Connection | None) -> None:
    """Redirect what this process writes to the terminal to a pipe; None changes nothing."""
    if output is None:
        return
    for descriptor in _STANDARD_DESCRIPTORS:
        if os.isatty(descriptor):
            os.dup2(output.fileno(), descriptor)


def _print_lines(reader: Connection) -> None:
    lines = LinesAbove(console())
    decoder = getincrementaldecoder("utf-8")("replace")
    while data := os.read(reader.fileno(), io.DEFAULT_BUFFER_SIZE):
        lines.write(decoder.decode(data))
    reader.close()
