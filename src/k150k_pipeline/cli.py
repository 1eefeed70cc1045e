"""Command line of the project: ``kedro run`` with all cores, and how far a run is."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any, cast

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import _split_params, env_option

from k150k_pipeline.command import DEFAULT_RUNNER, ProjectCommand
from k150k_pipeline.datasets import JournalDataset
from k150k_pipeline.journal.lock import read_holder
from k150k_pipeline.journal.watch import JournalTail
from k150k_pipeline.pipeline_shape import PipelineShape, current_shape
from k150k_pipeline.progress import eta
from k150k_pipeline.session import ProjectSession

_RATE_WINDOW_S = 300.0
_FAILURES_SHOWN = 5


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


def _add_status_command(name: str, journal: Callable[[PipelineShape], str], what: str) -> None:
    @cli.command(
        name, cls=ProjectCommand, help=f"Tell how far {what} is, during a run or after it."
    )
    @env_option
    @click.option("--params", default="", callback=_split_params, help="As given to kedro run.")
    def status(env: str | None, params: dict[str, Any]) -> None:
        with ProjectSession.create(env=env, runtime_params=params) as session:
            context = cast(ProjectSession, session).load_context()
            dataset = context.catalog.get(journal(current_shape()))
        assert isinstance(dataset, JournalDataset)
        click.echo(describe_status(dataset))


_add_status_command("extract-status", lambda s: f"{s.corpus}_journal", "an extraction")
_add_status_command("ingest-status", lambda s: f"{s.ingest_corpus}_ingest_journal", "an ingestion")
_add_status_command("fr-status", lambda s: f"{s.fr_prefix}_journal", "an FR corpus")


def describe_status(dataset: JournalDataset) -> str:
    """Return what the journals say: done, failed, due, rate, ETA, last failures."""
    journal = dataset.journal
    run = journal.announced()
    if run is None:
        return f"No run has begun in {journal.folder}"
    tail = JournalTail(journal)
    seen = tail.poll()
    holder = read_holder(dataset.lock_path)
    now = time.time()
    rate = seen.rate(max(run["started_at"], now - _RATE_WINDOW_S), now) if holder else 0.0
    due = max(run["due"] - seen.finished_since(run["started_at"]), 0)
    state = (
        f"running: process {holder.get('pid')} on {holder.get('host')}" if holder else "not running"
    )
    last_failures = list(seen.failures.items())[-_FAILURES_SHOWN:]
    lines = [
        f"{journal.output} ({state})",
        (
            f"  wanted {run['wanted']}, done {len(seen.clips)}, "
            f"failed attempts {seen.failed}, due {due}"
        ),
        f"  {rate:.2f} clips/s, ETA {eta(due, rate)}"
        if holder
        else "  no rate: nothing is running",
        *(f"  failed: {clip}: {': '.join(why)}" for clip, why in last_failures),
    ]
    return "\n".join(lines)
