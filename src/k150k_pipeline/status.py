"""The commands ``extract-status``, ``ingest-status`` and ``fr-status``: the progress of runs."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

import click
from kedro.framework.cli.utils import _split_params, env_option, validate_conf_source
from kedro.framework.project import settings
from kedro.io import AbstractDataset, CatalogProtocol
from rich.console import Console
from rich.constrain import Constrain
from rich.live import Live
from rich.text import Text

from k150k_pipeline.datasets import JournalDataset
from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal.lock import read_holder
from k150k_pipeline.journal.marks import read_begun
from k150k_pipeline.journal.watch import JournalTail, Snapshot
from k150k_pipeline.progress import RATE_WINDOW_S, duration, eta_at
from k150k_pipeline.schemas.parameters import Corpus
from k150k_pipeline.storage import in_words
from k150k_pipeline.terminal import printable

_FAILURES_SHOWN = 5
_WORKERS_SHOWN = 8
_EVERY_S = 2.0


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
    @click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
    @click.option(
        "--every",
        type=click.FloatRange(min=0.1, max=3600),
        default=_EVERY_S,
        show_default=True,
        help="Seconds between two looks of --watch.",
    )
    def report(
        env: str | None,
        conf_source: str | None,
        params: dict[str, Any],
        watch: bool,
        every: float,
    ) -> None:
        entries = _entries(kind, params)
        options = {"env": env, "conf_source": conf_source, "runtime_params": params}
        with settings.SESSION_CLASS.create(**options) as session:
            catalog = session.load_context().catalog
        runs = Runs(_datasets(catalog, entries))
        if watch:
            _watch(runs, every)
        else:
            click.echo(runs.describe())

    text = f"Show the progress of {kind.runs}: of all corpora, or of the one that --params names."
    return click.command(name, cls=command_class, help=text)(report)


class Runs:
    """The runs in journals, which are read and never written or locked.

    Args:
        datasets: The journals. What is read of them is read once.
    """

    def __init__(self, datasets: Sequence[JournalDataset]) -> None:
        self._datasets = datasets
        self._tails = [JournalTail(dataset.journal) for dataset in datasets]

    def describe(self) -> str:
        """Return the progress of the runs, the latest first.

        If there is no run, the folders of the journals are named. A journal that cannot be read
        has one line with the reason.
        """
        numbers = range(len(self._datasets))
        runs = [run for number in numbers if (run := self._run_in(number)) is not None]
        if not runs:
            folders = dict.fromkeys(str(dataset.journal.folder) for dataset in self._datasets)
            return in_words(f"No run has begun in {' or '.join(folders)}")
        return in_words("\n".join(text for _, text in sorted(runs, key=lambda run: -run[0])))

    def _run_in(self, number: int) -> tuple[float, str] | None:
        """Return the start of the run in a journal, and its description; None if there is none."""
        dataset = self._datasets[number]
        if self._tails[number].is_outdated():
            self._tails[number] = JournalTail(dataset.journal)
        try:
            run = dataset.journal.announced()
            if run is None:
                return None
            return run["started_at"], _describe_run(run, dataset, self._tails[number].poll())
        except JournalError as error:
            return 0.0, printable(f"{dataset.journal.output}: {error}")


def _watch(runs: Runs, every: float) -> None:
    """Show runs until the process is stopped: in place on a terminal, else one after the other."""
    console = Console(file=sys.stdout, highlight=False, markup=False)
    if not console.is_terminal or console.is_dumb_terminal:
        while True:
            click.echo(f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n{runs.describe()}")
            time.sleep(every)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            # A row that wraps where the terminal prints ``^C`` could not be erased.
            room = console.width - len("^C") - 1
            live.update(Constrain(Text(runs.describe()), room), refresh=True)
            time.sleep(every)


def _describe_run(run: Mapping[str, Any], dataset: JournalDataset, seen: Snapshot) -> str:
    """Return done, failed, due, rates, ETA, clips in work and failures of one run."""
    holder = read_holder(dataset.lock_path)
    due = max(run["due"] - seen.finished_since(run["started_at"]), 0)
    lines = [
        f"{dataset.journal.output} ({_state(holder)})",
        (
            f"  wanted {run['wanted']}, done {len(seen.clips)}, "
            f"failed attempts {seen.failed}, due {due}"
        ),
        *(_pace(run, due, seen) if holder is not None else ["  no rate: nothing is running"]),
        *(_workers(run, dataset, seen) if holder is not None else []),
        *_failures(seen),
    ]
    return "\n".join(map(printable, lines))


def _pace(run: Mapping[str, Any], due: int, seen: Snapshot) -> list[str]:
    """Return the rate of the last minutes, the time left at that rate, and the rate overall."""
    now, since = time.time(), run["started_at"]
    rate, overall = seen.rate(max(since, now - RATE_WINDOW_S), now), seen.rate(since, now)
    return [f"  {rate:.2f} clips/s, ETA {eta_at(due, rate, now)}, {overall:.2f} clips/s overall"]


def _workers(run: Mapping[str, Any], dataset: JournalDataset, seen: Snapshot) -> list[str]:
    """Return the clips that are in work, and for how long; the longest first."""
    begun = read_begun(dataset.journal.run_folder, str(run["started_at"]))
    working = sorted((b for b in begun if seen.last.get(b.file) != b.clip), key=lambda b: b.at)
    now = time.time()
    lines = [
        f"  {duration(max(now - begun.at, 0))} {begun.clip}" for begun in working[:_WORKERS_SHOWN]
    ]
    more = len(working) - len(lines)
    return [*lines, f"  and {more} more clips in work"] if more else lines


def _failures(seen: Snapshot) -> list[str]:
    """Return the clips without a row by the reason of their last failure, the most first."""
    counts = Counter(seen.failures.values())
    latest = {failure: clip for clip, failure in seen.failures.items()}
    lines = []
    for why, count in counts.most_common(_FAILURES_SHOWN):
        others = f" and {count - 1:,} more" if count > 1 else ""
        lines.append(f"  failed: {', '.join(why)}: {latest[why]}{others}")
    more = len(counts) - len(lines)
    return [*lines, f"  failed for {more} more reasons"] if more else lines


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
