"""Command line of the project: ``kedro run`` on all cores, and the progress of runs."""

from __future__ import annotations

import copy

import click
from kedro.framework.cli.project import run as kedro_run

from k150k_pipeline.command import DEFAULT_RUNNER, ProjectCommand
from k150k_pipeline.status import KINDS, status_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, name=__file__)
def cli() -> None:
    """Commands of the k150k-pipeline project."""


def _project_run() -> click.Command:
    run = copy.copy(kedro_run)
    run.__class__ = ProjectCommand
    run.params = [copy.copy(parameter) for parameter in kedro_run.params]
    for parameter in run.params:
        if parameter.name == "runner":
            parameter.default = DEFAULT_RUNNER
    return run


cli.add_command(_project_run(), name="run")


for _name in KINDS:
    cli.add_command(status_command(_name, ProjectCommand))
