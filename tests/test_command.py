"""Which errors are a sentence, and which stay what they are; what Ctrl-C does."""

from __future__ import annotations

import errno
import re
import signal
from collections import Counter

import click
import pytest
from click.testing import CliRunner, Result
from kedro.framework.project import configure_project
from kedro.io import DatasetError

from k150k_pipeline.command import ProjectCommand, say_what_is_kept
from k150k_pipeline.errors import FailureRateError, InputError
from tests.conftest import KEDRO
from tests.support.screen import TerminalRun

AGAIN = "then run the same command again"


def invoke(error: BaseException) -> Result:
    def fail() -> None:
        raise error

    configure_project("k150k_pipeline")
    return CliRunner().invoke(ProjectCommand("fail", callback=fail))


@pytest.mark.parametrize(
    ("error", "output"),
    [
        (InputError("no such clip"), "Error: no such clip\n"),
        (FailureRateError("too many"), "Error: too many\n"),
        (DatasetError("a:\n b.\nHint: install c"), "Error: a: b.\n"),
        (
            OSError(errno.ENOSPC, "No space left", "/x"),
            f"Error: /x: No space left on device. Make room on the disk, {AGAIN}\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied"),
            f"Error: Permission denied. Change the permissions, or name another place, {AGAIN}\n",
        ),
    ],
)
def test_what_a_user_can_correct_is_a_sentence(error, output):
    result = invoke(error)
    assert (result.exit_code, result.output) == (1, output)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a"),
        ValueError("b"),
        KeyError("c"),
        FileNotFoundError(errno.ENOENT, "d"),
        ConnectionResetError(errno.ECONNRESET, "e"),
    ],
)
def test_what_is_wrong_in_the_program_keeps_its_traceback(error):
    assert invoke(error).exception is error


def test_an_interrupt_is_one_line_and_130():
    before = signal.getsignal(signal.SIGINT)
    result = invoke(KeyboardInterrupt())
    assert (result.exit_code, result.output) == (130, "Stopped\n")
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_is_one_line_and_its_number(number):
    def end() -> None:
        signal.raise_signal(number)

    before = signal.signal(number, signal.SIG_DFL)
    try:
        result = CliRunner().invoke(ProjectCommand("end", callback=end))
    finally:
        signal.signal(number, before)
    assert (result.exit_code, result.output) == (128 + number, f"Stopped by {number.name}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_ignored_signal_stays_ignored(number):
    def look() -> None:
        click.echo(str(signal.getsignal(number) is signal.SIG_IGN))

    before = signal.signal(number, signal.SIG_IGN)
    try:
        assert CliRunner().invoke(ProjectCommand("look", callback=look)).output == "True\n"
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("keys", [b"\x03", pytest.param(b"\x03\x03", marks=pytest.mark.thorough)])
def test_ctrl_c_in_a_terminal_says_what_is_kept(project, tiny_clips, keys):
    project.add_clips(tiny_clips, copies=8)
    run = TerminalRun([*KEDRO, *project.extract()], project.root, 100)
    begun = re.compile(r"[1-9]\d*/64 ")
    run.read(until=lambda text: begun.search(text) is not None)
    run.type(keys)
    assert run.end() == 130
    screen = [line for line in run.screen() if line]
    bars = [index for index, line in enumerate(screen) if "/64 " in line]
    assert len(bars) == 1 and "Traceback" not in "".join(screen), screen
    if len(keys) == 1:
        stopped, kept = screen[bars[0] + 1 :]
        assert stopped == "Stopped"
        finished = int(re.fullmatch(r"(\d+) clips of this run are kept: .*", kept)[1])
        assert 1 <= finished < 64
    assert run.written.count(b"\x1b[?25h") >= 1
    project.run()
    assert len(project.table()) == 64


def test_a_run_in_a_terminal_shows_every_line_whole(project, tiny_clips):
    project.add_clips(tiny_clips)
    command = [*KEDRO, *project.extract("--runner-params=max_workers=2")]
    run = TerminalRun(command, project.root, 120)
    assert run.end() == 0
    screen = run.screen()
    for line in ("Running extract", "extract: planning", "extract: scoring", "extract: writing"):
        assert sum(seen.endswith(f" INFO {line}") for seen in screen) == 1, screen
    assert sum("8/8" in line and "━" in line for line in screen) == 1
    assert not any("━" in line and " INFO " in line for line in screen)


@pytest.mark.parametrize(
    ("finished", "text"),
    [
        ({}, ""),
        ({"folds": 0}, ""),
        ({"folds": 1}, "1 fold of this run is kept: "),
        ({"clips": 1, "folds": 0}, "1 clip of this run is kept: "),
        ({"clips": 2}, "2 clips of this run are kept: "),
        ({"clips": 1, "splits": 1}, "1 clip and 1 split of this run are kept: "),
    ],
)
def test_what_is_kept_is_counted_in_good_english(finished, text):
    line = say_what_is_kept(Counter(finished))
    assert line == (f"\n{text}the same command goes on from there" if text else "")
