"""Read the drop, plan, fetch, probe, merge, account: the steps of an ingestion."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd

from k150k_pipeline.download import DownloadState
from k150k_pipeline.errors import LostRowsError
from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.due import deal, survey
from k150k_pipeline.journal.lock import RunLock
from k150k_pipeline.journal.worker import work_through
from k150k_pipeline.media.facts import read_facts
from k150k_pipeline.pipelines.ingest import fetching, outputs, planning
from k150k_pipeline.pipelines.ingest.layouts import find_layout
from k150k_pipeline.pipelines.ingest.reading import read_tables
from k150k_pipeline.schemas.ingest import DropLabels, IngestParameters, IngestPlan

logger = logging.getLogger(__name__)

_FETCH_SHARD = 9999


def read_drop(drop: Path, ingest: IngestParameters) -> dict[str, Any]:
    """Read every table of a drop.

    Args:
        drop: Folder of the corpus.
        ingest: Block ``ingest``.

    Returns:
        :class:`DropLabels` as a plain mapping.

    Raises:
        InputError: No known layout, no usable table, or the tables of another corpus.
    """
    return read_tables(find_layout(drop, ingest), ingest).model_dump()


def plan_ingest(
    labels: dict[str, Any], drop: Path, journal: Journal, ingest: IngestParameters
) -> dict[str, Any]:
    """Decide which clips are downloaded, which are probed, and which are done.

    Args:
        labels: What the drop says.
        drop: Folder of the corpus.
        journal: What earlier runs found.
        ingest: Block ``ingest``.

    Returns:
        An :class:`IngestPlan` as a plain mapping.

    Raises:
        InputError: The download-progress file cannot be read.
    """
    said = DropLabels.model_validate(labels)
    state = DownloadState(planning.state_path(drop, ingest))
    plan = planning.make_plan(said, state, journal, ingest)
    planning.announce(journal, plan, said, ingest.flush_every)
    return plan.model_dump()


def fetch_clips(
    plan: dict[str, Any],
    labels: dict[str, Any],
    drop: Path,
    journal: Journal,
    ingest: IngestParameters,
) -> dict[str, Any]:
    """Download what is due and probe each clip as it comes.

    Returns:
        Counts of sound and failed clips, and of fsyncs with their seconds.

    Raises:
        InputError: The disk does not take the clips, or no server answers any more.
        OutputInUseError: Another run downloads into the same drop.
    """
    said = DropLabels.model_validate(labels)
    state = DownloadState(planning.state_path(drop, ingest))
    lock = RunLock(state.path.with_name(f"{state.path.name}.lock"))
    with (
        lock.held() if plan["fetch"] else nullcontext(),
        journal.writer(_FETCH_SHARD, plan["fingerprint"], plan["scoring"]) as writer,
    ):
        return vars(fetching.fetch_all(plan["fetch"], said, state, writer, ingest))


def probe_shard(
    plan: dict[str, Any],
    labels: dict[str, Any],
    journal: Journal,
    ingest: IngestParameters,
    *,
    shard: int,
    shards: int,
) -> dict[str, Any]:
    """Probe one shard's clips, journaling each before the next starts.

    Returns:
        Counts of sound and broken clips, and of fsyncs with their seconds.
    """
    folders, rows = labels["folders"], labels["rows"]

    def process(name: str) -> dict[str, Any]:
        row = rows[name]
        path = Path(folders[row["folder"]]) / name
        return read_facts(path, ingest, row["checksum"]).as_payload()

    with journal.writer(shard, plan["fingerprint"], plan["scoring"]) as writer:
        return vars(work_through(deal(plan["probe"], shard, shards), process, writer, {}))


def merge_ingest(
    plan: dict[str, Any],
    labels: dict[str, Any],
    drop: Path,
    journal: Journal,
    ingest: IngestParameters,
    tally: dict[str, Any],
) -> tuple[list[dict[str, Any]], pd.DataFrame, dict[str, Any], dict[str, Any]]:
    """Derive the corpus, the failures table and the report from labels and journal.

    Returns:
        Corpus rows sorted by name; one row per clip without a row; report, twice: the second is
        saved last and says that the others are on the disk.

    Raises:
        LostRowsError: Some label is in no count; no output is replaced.
    """
    todo, said = IngestPlan.model_validate(plan), DropLabels.model_validate(labels)
    known = planning.known_facts(journal, {todo.fingerprint, *todo.accepted})
    progress = survey(journal.entries(), todo.fingerprint, todo.accepted)
    earlier = outputs.read_corpus(journal.output)
    rows = outputs.corpus_rows(said, known, earlier, ingest)
    given_up = DownloadState(planning.state_path(drop, ingest)).given_up(())
    failures = outputs.failed_clips(said, todo, known, progress, given_up, ingest)
    report = outputs.report(said, todo, rows, failures, tally, ingest)
    report["dropped_rows"] = sorted(earlier.keys() - {row["src"] for row in rows})
    report["summary"] = outputs.summarise(report, journal.output)
    _refuse_lost_labels(journal, report["counts"], todo)
    logger.info("%s", report["summary"])
    _warn(report, ingest)
    return rows, failures, report, report


def account_for_labels(
    report: dict[str, Any], labels: dict[str, Any], journal: Journal, ingest: IngestParameters
) -> dict[str, Any]:
    """Read the corpus back and write down how it was made.

    Args:
        report: Report of the run, saved after the corpus.
        labels: What the drop says.
        journal: Journal of the run; it knows the corpus.
        ingest: Block ``ingest``.

    Returns:
        The replay manifest.

    Raises:
        LostRowsError: The corpus is not what was written.
    """
    rows = len(outputs.read_corpus(journal.output))
    if rows != report["counts"]["rows"]:
        raise LostRowsError(
            f"{journal.output} was written with {report['counts']['rows']} rows and is read back "
            f"with {rows}. The journal in {journal.folder} is kept; run again"
        )
    said = DropLabels.model_validate(labels)
    return outputs.replay_manifest(said, report, journal.output, ingest)


def _refuse_lost_labels(journal: Journal, counts: dict[str, int], plan: IngestPlan) -> None:
    if not 0 <= counts["not_yet_tried"] <= plan.left_out:
        raise LostRowsError(
            f"{counts['not_yet_tried']} of {counts['wanted']} labelled clips have neither a row "
            f"nor a failure, and ingest.limit left out {plan.left_out}: {counts}. "
            f"{journal.output} is left as it was and the journal in {journal.folder} is kept; "
            "please report this"
        )


def _warn(report: dict[str, Any], ingest: IngestParameters) -> None:
    if report["attrition"] > ingest.attrition_warn_threshold:
        logger.warning(
            "%.1f %% of the downloads failed, more than ingest.attrition_warn_threshold=%g: %s",
            100 * report["attrition"],
            ingest.attrition_warn_threshold,
            report["failures_by_reason"],
        )
    if dropped := report["dropped_rows"]:
        logger.warning(
            "%d rows of the corpus as it was are not in it any more, such as %s",
            len(dropped),
            ", ".join(dropped[:3]),
        )
