"""``kedro run`` outside the project: one line that says where to run it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click
from kedro.utils import find_kedro_project, is_kedro_project

_COMMANDS = ("run", "extract-status", "ingest-status", "fr-status")
_CHECKOUT = Path(__file__).parents[2]


def _refusal(name: str) -> click.Command:
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def refuse(arguments: tuple[str, ...]) -> None:
        checkout = _CHECKOUT if is_kedro_project(_CHECKOUT) else "the checkout of k150k-pipeline"
        raise click.ClickException(
            f"{Path.cwd()} is in no Kedro project: cd to {checkout}, or run "
            f"`{shlex.join(['k150k', name, *arguments])}` here"
        )

    settings = {"ignore_unknown_options": True, "help_option_names": []}
    text = f"In the project; elsewhere k150k {name}."
    return click.command(name, help=text, context_settings=settings)(refuse)


def _commands() -> click.Group | None:
    """Return the commands that need a project; None inside one, where Kedro has these commands."""
    if find_kedro_project(Path.cwd()) is not None:
        return None
    os.environ["KEDRO_DISABLE_TELEMETRY"] = "1"  # there is no .telemetry file here
    return click.Group("k150k-pipeline", {name: _refusal(name) for name in _COMMANDS})


commands = _commands()
