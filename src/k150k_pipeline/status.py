"""The commands ``extract-status``, ``ingest-status`` and ``fr-status``: the progress of runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

import click
from kedro.framework.cli.utils import _split_params, env_option, validate_conf_source
from kedro.framework.project import settings
from kedro.io import AbstractDataset, CatalogProtocol

from k150k_pipeline.datasets import JournalDataset
from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal.lock import read_holder
from k150k_pipeline.journal.watch import JournalTail
from k150k_pipeline.progress import eta
from k150k_pipeline.schemas.parameters import Corpus

_RATE_WINDOW_S = 300.0
_FAILURES_SHOWN = 5


@dataclass(frozen=True)
class Kind:
    """One kind of run that keeps a journal.

    Attributes:
        block: Parameter block, whose ``corpus`` names the corpus of a run.
        journals: Catalog entry of the journal by corpus.
        runs: Name of these runs in the help text.
    """

    block: str
    journals: Mapping[str, str]
    runs: str


KINDS = {
    "extract-status": Kind(
        "extract",
        {name: f"{name}_journal" for name in get_args(Corpus)},
        "extractions",
    ),
    "ingest-status": Kind(
        "ingest",
        {name: f"{name}_ingest_journal" for name in ("konvid_150k", "konvid_1k")},
        "ingestions",
    ),
    "fr-status": Kind(
        "fr_from_nr",
        {"konvid_150k": "k150k_fr_journal", "konvid_1k": "konvid_1k_fr_journal"},
        "runs of fr_from_nr",
    ),
}


def status_command(name: str, command_class: type[click.Command] = click.Command) -> click.Command:
    """Return the command that reports the runs of one kind, during a run or after it."""
    kind = KINDS[name]

    @env_option
    @click.option("--conf-source", callback=validate_conf_source, help="As given to kedro run.")
    @click.option("--params", default="", callback=_split_params, help="As given to kedro run.")
    def report(env: str | None, conf_source: str | None, params: dict[str, Any]) -> None:
        entries = _entries(kind, params)
        options = {"env": env, "conf_source": conf_source, "runtime_params": params}
        with settings.SESSION_CLASS.create(**options) as session:
            catalog = session.load_context().catalog
        click.echo(describe_runs(_datasets(catalog, entries)))

    text = f"Show the progress of {kind.runs}: of all corpora, or of the one that --params names."
    return click.command(name, cls=command_class, help=text)(report)


def describe_runs(datasets: Sequence[JournalDataset]) -> str:
    """Return the progress of the runs in the journals, the latest first.

    If there is no run, the folders of the journals are named. A journal that cannot be read has
    one line with the reason.
    """
    runs = [run for dataset in datasets if (run := _run_in(dataset)) is not None]
    if not runs:
        folders = dict.fromkeys(str(dataset.journal.folder) for dataset in datasets)
        return f"No run has begun in {' or '.join(folders)}"
    return "\n".join(text for _, text in sorted(runs, key=lambda run: -run[0]))


def _run_in(dataset: JournalDataset) -> tuple[float, str] | None:
    """Return the start of the run in a journal, and its description; None if there is no run."""
    try:
        run = dataset.journal.announced()
        return None if run is None else (run["started_at"], _describe_run(run, dataset))
    except JournalError as error:
        return 0.0, f"{dataset.journal.output}: {error}"


def _describe_run(run: Mapping[str, Any], dataset: JournalDataset) -> str:
    """Return done, failed, due, rate, ETA and last failures of one run."""
    seen = JournalTail(dataset.journal).poll()
    holder = read_holder(dataset.lock_path)
    now = time.time()
    rate = (
        seen.rate(max(run["started_at"], now - _RATE_WINDOW_S), now) if holder is not None else 0.0
    )
    due = max(run["due"] - seen.finished_since(run["started_at"]), 0)
    last_failures = list(seen.failures.items())[-_FAILURES_SHOWN:]
    lines = [
        f"{dataset.journal.output} ({_state(holder)})",
        (
            f"  wanted {run['wanted']}, done {len(seen.clips)}, "
            f"failed attempts {seen.failed}, due {due}"
        ),
        f"  {rate:.2f} clips/s, ETA {eta(due, rate)}"
        if holder is not None
        else "  no rate: nothing is running",
        *(f"  failed: {clip}: {': '.join(failure)}" for clip, failure in last_failures),
    ]
    return "\n".join(lines)


def _state(holder: Mapping[str, object] | None) -> str:
    if holder is None:
        return "not running"
    if "pid" not in holder:  # it has the lock and has not written its name yet
        return "running"
    return f"running: process {holder['pid']} on {holder.get('host', 'an unknown host')}"


def _entries(kind: Kind, params: Mapping[str, Any]) -> list[str]:
    """Return the journal's catalog entry for the corpus in the parameters, or for every corpus."""
    block = params.get(kind.block)
    named = block.get("corpus") if isinstance(block, Mapping) else None
    if named is None:
        return list(kind.journals.values())
    corpus = str(named).replace("-", "_")
    if corpus not in kind.journals:
        raise click.BadParameter(
            f"{kind.block}.corpus={named} is not one of {', '.join(kind.journals)}",
            param_hint="--params",
        )
    return [kind.journals[corpus]]


def _datasets(
    catalog: CatalogProtocol[str, AbstractDataset[Any, Any]], entries: Sequence[str]
) -> list[JournalDataset]:
    """Return the journals, each folder once: with ``--params journal=…`` all are in one folder."""
    found = (cast(JournalDataset, catalog.get(entry)) for entry in entries)
    return list({dataset.journal.folder: dataset for dataset in found}.values())
