"""Commands that print expected errors as a sentence with the remedy, and end well on Ctrl-C."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

import click
import yaml
from kedro import runner as kedro_runners
from kedro.framework.cli.utils import KedroCliError
from kedro.framework.project import settings
from kedro.io import DatasetError
from kedro.runner import AbstractRunner
from kedro.utils import load_obj
from kedro.validation import ParameterValidationError
from omegaconf.errors import OmegaConfBaseException

from k150k_pipeline.durable import DISK_ERRORS, UnwritableError, describe
from k150k_pipeline.errors import (
    ClusterError,
    EngineError,
    FailureRateError,
    InputError,
    JournalError,
    LostRowsError,
    PersistentKillsError,
    UnfetchedClipsError,
    WorkerDiedError,
)
from k150k_pipeline.hooks import ProjectHooks
from k150k_pipeline.journal.lock import OutputInUseError
from k150k_pipeline.storage import in_words
from k150k_pipeline.suggest import unknown

_EXPECTED = (
    ClusterError,
    DatasetError,
    EngineError,
    FailureRateError,
    InputError,
    JournalError,
    LostRowsError,
    OutputInUseError,
    ParameterValidationError,
    PersistentKillsError,
    UnfetchedClipsError,
    WorkerDiedError,
)
DEFAULT_RUNNER = "k150k_pipeline.runners.ProcessRunner"
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_UNHANDLED = (signal.default_int_handler, signal.SIG_DFL)
_SHOW_CURSOR = b"\x1b[?25h"


class _UsageError(click.ClickException):
    """A mistake on the command line, without the usage lines that click puts before it."""

    exit_code = 2


class ProjectCommand(click.Command):
    """A command whose expected errors are a message rather than a traceback."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command line; a mistake in it takes one line."""
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            raise _UsageError(error.format_message()) from None
        except KedroCliError as error:
            raise _UsageError(error.message) from None
        except (OmegaConfBaseException, yaml.YAMLError) as error:
            problem = str(error).splitlines()[0]
            raise _UsageError(
                f"the values of --params cannot be read ({problem}): write name=value, with a "
                "comma between two"
            ) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with _stoppable():
                check_runner(ctx.params)
                _take_old_spelling(ctx.params)
                return super().invoke(ctx)
        except _EXPECTED as error:
            raise click.ClickException(_explain(error)) from None
        except KedroCliError as error:
            raise _UsageError(error.message) from None
        except OSError as error:
            if not (isinstance(error, UnwritableError) or error.errno in DISK_ERRORS):
                raise
            raise click.ClickException(f"{_name_file(error)}{_kept()}") from None
        except (KeyboardInterrupt, click.Abort) as stop:
            number = stop.number if isinstance(stop, _Stop) else signal.SIGINT
            with suppress(OSError):  # SIGHUP: the terminal is gone
                click.echo(f"Stopped{_by_signal(number)}{_kept()}", err=True)
            raise click.exceptions.Exit(128 + number) from None


def _take_old_spelling(options: dict[str, Any]) -> None:
    """Treat ``--pipeline`` as ``--pipelines``, which avoids a warning of Kedro's."""
    if options.get("pipeline") and not options["pipelines"]:
        options["pipelines"], options["pipeline"] = [options["pipeline"]], None


def check_runner(options: Mapping[str, Any]) -> None:
    """Refuse a runner, or parameters of one, that do not exist.

    Args:
        options: Options of ``kedro run`` by name.

    Raises:
        InputError: There is no such runner, it has no such parameter, or no folder has room for
            the socket of its processes.
    """
    name = options.get("runner")
    if name is None:
        return
    _require_temporary_folder()
    try:
        runner = load_obj(name, "kedro.runner")
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(unknown("runner", name, [*_kedro_runners(), DEFAULT_RUNNER])) from error
    known = inspect.signature(runner).parameters
    for key in options["runner_params"]:
        if key not in known:
            raise InputError(unknown("runner parameter", key, known))


def _require_temporary_folder() -> None:
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise InputError(
            f"{error.strerror}: make room in one of them, or name another in the environment "
            "variable TMPDIR, then run the same command again"
        ) from error


def _kedro_runners() -> list[str]:
    classes = inspect.getmembers(kedro_runners, inspect.isclass)
    return [n for n, c in classes if issubclass(c, AbstractRunner) and c is not AbstractRunner]


def _explain(error: Exception) -> str:
    if isinstance(error, FailureRateError):
        return in_words(str(error))
    text = in_words(str(error))
    if isinstance(error, DatasetError):  # Kedro's have several lines, with hints at the end
        text = " ".join(text.split("Hint:")[0].split())
    return f"{text}{_kept()}"


def _name_file(error: OSError) -> str:
    if isinstance(error, UnwritableError):
        return in_words(str(error))
    return f"{error.filename}: {describe(error)}" if error.filename else describe(error)


def _kept() -> str:
    """Stop what the hooks started; return a line on what the run has finished, if anything."""
    hooks = [hook for hook in settings.HOOKS if isinstance(hook, ProjectHooks)]
    for hook in hooks:
        hook.stop()
    return say_what_is_kept(sum((hook.finished for hook in hooks), Counter[str]()))


def say_what_is_kept(finished: Counter[str]) -> str:
    """Return a line on what a run has finished; empty if that is nothing.

    Args:
        finished: Numbers by what is counted, in the plural.
    """
    counts = +finished  # those above 0
    if not counts:
        return ""
    kept = " and ".join(f"{n} {p if n > 1 else p.removesuffix('s')}" for p, n in counts.items())
    verb = "is" if counts.total() == 1 else "are"
    return f"\n{kept} of this run {verb} kept: the same command goes on from there"


class _Stop(KeyboardInterrupt):
    """A signal asks the run to end.

    Attributes:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _by_signal(number: int) -> str:
    return "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"


@contextmanager
def _stoppable() -> Iterator[None]:
    """Make a first Ctrl-C, SIGTERM or SIGHUP stop the block, and a second one end the process.

    A signal that is ignored, as under nohup, or handled elsewhere is left alone.
    """
    before = {number: signal.getsignal(number) for number in _STOPPING}
    before = {number: handler for number, handler in before.items() if handler in _UNHANDLED}
    for number in before:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is _interrupt:
                signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    for each in _STOPPING:
        if signal.getsignal(each) is _interrupt:
            signal.signal(each, _leave)
    raise _Stop(number)


def _leave(number: int, _frame: FrameType | None) -> None:
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), _SHOW_CURSOR + b"\n")
    os._exit(128 + number)
