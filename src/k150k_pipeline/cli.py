"""Command line of the project: ``kedro run`` with all cores, and how far a run is."""

from __future__ import annotations

import copy
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.io import DatasetError
from kedro.validation import ParameterValidationError

from k150k_pipeline.errors import (
    EngineError,
    FailureRateError,
    InputError,
    JournalError,
    LostRowsError,
)
from k150k_pipeline.journal.lock import OutputInUseError
from k150k_pipeline.runners.process import WorkerDiedError
from k150k_pipeline.status import KINDS, status_command

DEFAULT_RUNNER = "k150k_pipeline.runners.ProcessRunner"
_EXPECTED = (
    DatasetError,
    EngineError,
    FailureRateError,
    InputError,
    JournalError,
    LostRowsError,
    OutputInUseError,
    ParameterValidationError,
    WorkerDiedError,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, name=__file__)
def cli() -> None:
    """Commands of the k150k-pipeline project."""


class _Run(click.Command):
    """``kedro run``, whose expected errors are a message rather than a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except _EXPECTED as error:
            raise click.ClickException(str(error)) from None
        except (KeyboardInterrupt, click.Abort):
            click.echo("What is finished is kept: the same command goes on from there", err=True)
            raise


def _project_run() -> click.Command:
    run = copy.copy(kedro_run)
    run.__class__ = _Run
    run.params = [copy.copy(parameter) for parameter in kedro_run.params]
    for parameter in run.params:
        if parameter.name == "runner":
            parameter.default = DEFAULT_RUNNER
    return run


cli.add_command(_project_run(), name="run")


for _name in KINDS:
    cli.add_command(status_command(_name))
