"""Nodes of ingest: read the drop, plan, fetch, probe, merge, account."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from k150k_pipeline.download import DownloadState
from k150k_pipeline.errors import LostRowsError
from k150k_pipeline.isolation import own_helper
from k150k_pipeline.journal import Journal, Payload
from k150k_pipeline.journal.due import survey
from k150k_pipeline.journal.lock import held, lock_at
from k150k_pipeline.journal.worker import Tally, work_through
from k150k_pipeline.pipelines.clipwise import (
    Report,
    check_kills,
    check_unfetched,
    deal,
    facts_of_page,
    shard_journal,
    with_failed_clips,
)
from k150k_pipeline.pipelines.ingest import fetching, outputs, planning
from k150k_pipeline.pipelines.ingest.layouts import find_layout
from k150k_pipeline.pipelines.ingest.plan import DropLabels, IngestPlan
from k150k_pipeline.pipelines.ingest.probing import at_hand, probe_clip
from k150k_pipeline.pipelines.ingest.reading import read_tables
from k150k_pipeline.reports import Page, published
from k150k_pipeline.reports.ingest import FIGURES, Ingested, corpus_frame, ingest_page
from k150k_pipeline.schemas.ingest import IngestParameters
from k150k_pipeline.storage import in_words

if TYPE_CHECKING:
    from plotly.graph_objects import Figure  # imported where a figure is made

logger = logging.getLogger(__name__)

_FETCH_SHARD = 9999


def read_drop(drop: Path, ingest: IngestParameters) -> DropLabels:
    """Read every table of a drop.

    Args:
        drop: Folder of the corpus.
        ingest: Block ``ingest``.

    Raises:
        InputError: The layout is unknown, a table is unusable, or the tables are of another
            corpus.
    """
    return read_tables(find_layout(drop, ingest), ingest)


def plan_ingest(
    labels: DropLabels, drop: Path, journal: Journal, ingest: IngestParameters
) -> IngestPlan:
    """Decide which clips are downloaded, which are probed, and which are done.

    Args:
        labels: Labels of the drop.
        drop: Folder of the corpus.
        journal: Results of earlier runs.
        ingest: Block ``ingest``.

    Raises:
        InputError: The download-progress file cannot be read, or no clip is there.
    """
    state = DownloadState(planning.state_path(drop, ingest))
    plan = planning.make_plan(labels, state, journal, ingest)
    planning.announce(journal, plan, labels, ingest.flush_every)
    return plan


def fetch_clips(
    plan: IngestPlan,
    labels: DropLabels,
    drop: Path,
    journal: Journal,
    ingest: IngestParameters,
) -> Tally:
    """Download the due clips, and probe each as soon as it is there.

    Returns:
        Counts of sound and failed clips, and of fsyncs with their seconds.

    Raises:
        InputError: A clip cannot be written, or no server answers any more.
        OutputInUseError: Another run downloads into the same drop.
    """
    state = DownloadState(planning.state_path(drop, ingest))
    lock = lock_at(state.path.with_name(f"{state.path.name}.lock"))
    with (
        held(lock) if plan.fetch else nullcontext(),
        shard_journal(journal, plan, _FETCH_SHARD) as lines,
    ):
        return fetching.fetch_all(plan.fetch, labels, state, lines, ingest)


def probe_shard(
    plan: IngestPlan,
    labels: DropLabels,
    journal: Journal,
    ingest: IngestParameters,
    *,
    shard: int,
    shards: int,
) -> Tally:
    """Probe one shard's clips, journaling each before the next starts.

    Returns:
        Counts of sound and broken clips, and of fsyncs with their seconds.
    """
    helper = own_helper(ingest.memory_limit_mb)

    due = deal(plan.probe, shard, shards)
    with shard_journal(journal, plan, shard) as lines, at_hand(labels, lines.to_do(due)) as here:

        def process(name: str) -> Payload:
            checksum = labels.rows[name].checksum
            return probe_clip(helper, here.find(name), ingest, checksum).as_payload()

        return work_through(due, process, lines, {})


def merge_ingest(
    plan: IngestPlan,
    labels: DropLabels,
    drop: Path,
    journal: Journal,
    ingest: IngestParameters,
    tally: Tally,
) -> tuple[list[outputs.Row], pd.DataFrame, Report, Report]:
    """Derive the corpus, the failures table and the report from labels and journal.

    Returns:
        Corpus rows sorted by name; failures table, one row per clip without a row; report; the
        report again with the first failed clips, saved last, when the others are on the disk.

    Raises:
        LostRowsError: A label is in no count; no output is replaced.
    """
    known = planning.known_facts(journal, {plan.fingerprint, *plan.accepted})
    entries = journal.entries(skipped=plan.broken_lines)
    progress = survey(entries, plan.fingerprint, plan.accepted)
    journal.fetch_output()
    earlier = outputs.read_corpus(journal.output)
    rows = outputs.corpus_rows(labels, known, earlier, ingest)
    given_up = DownloadState(planning.state_path(drop, ingest)).given_up(())
    failures = outputs.failed_clips(labels, plan, known, progress, given_up, ingest)
    report = outputs.report(labels, plan, rows, failures, tally, ingest)
    report["completeness_unknown"] = outputs.doubtful_clips(rows, known)
    report["counts"]["completeness_unknown"] = len(report["completeness_unknown"])
    report["dropped_rows"] = sorted(earlier.keys() - {row["src"] for row in rows})
    report["summary"] = in_words(outputs.summarise(report, journal.output))
    _refuse_lost_labels(journal, report["counts"], plan)
    outputs.repair_corpus(journal.output)
    logger.info("%s", report["summary"])
    _warn(report, ingest)
    reasons = failures["stage"] + "/" + failures["reason"]
    return rows, failures, report, with_failed_clips(report, failures["clip_name"], reasons)


def account_for_labels(
    report: Report, labels: DropLabels, journal: Journal, ingest: IngestParameters
) -> tuple[Any, ...]:
    """Read the corpus back, write down how it was made, and draw the page.

    Args:
        report: Report of the run, saved after the corpus.
        labels: Labels of the drop.
        journal: Journal of the run; its ``output`` is the corpus.
        ingest: Block ``ingest``.

    Returns:
        The replay manifest; the report page; its figures, in the order of
        ``reports.ingest.FIGURES``; the report, saved last and saying that these are on the disk.

    Raises:
        LostRowsError: The corpus is not what was written.
    """
    journal.fetch_output()
    corpus = outputs.read_corpus(journal.output)
    rows = len(corpus)
    if rows != report["counts"]["rows"]:
        raise LostRowsError(
            f"{journal.output} was written with {report['counts']['rows']} rows and is read back "
            f"with {rows}. The journal in {journal.folder} is kept: run the same command again"
        )
    manifest = outputs.replay_manifest(labels, report, journal.output, ingest)
    page, figures = _draw(report, list(corpus.values()), ingest)
    return manifest, page, *figures, report


def _draw(
    report: Report, rows: list[outputs.Row], ingest: IngestParameters
) -> tuple[str, list[Figure]]:
    facts, failed = facts_of_page(report)
    block = ingest.model_dump(mode="json")

    def make() -> Page:
        return ingest_page(Ingested(facts, corpus_frame(rows), failed, block))

    return published(f"Corpus {report['corpus']}", make, FIGURES)


def judge(report: Report, journal: Journal) -> None:
    """End a run in which processes were killed, after its last output.

    Args:
        report: Report of the run.
        journal: Journal of the run; it knows the corpus.

    Raises:
        UnfetchedClipsError: Clips have no row because their store did not give them.
        PersistentKillsError: Clips have no row because their process was killed each time.
    """
    check_unfetched(report, journal.output)
    check_kills(report, journal.output)


def _refuse_lost_labels(journal: Journal, counts: dict[str, int], plan: IngestPlan) -> None:
    if not 0 <= counts["not_yet_tried"] <= plan.left_out:
        raise LostRowsError(
            f"{counts['not_yet_tried']} of {counts['wanted']} labelled clips have neither a row "
            f"nor a failure, and ingest.limit left out {plan.left_out}: {counts}. "
            f"{journal.output} is not replaced and the journal in {journal.folder} is kept: "
            "please report this"
        )


def _warn(report: Report, ingest: IngestParameters) -> None:
    if report["attrition"] > ingest.attrition_warn_threshold:
        logger.warning(
            "%.1f %% of the downloads failed, more than ingest.attrition_warn_threshold=%g: %s",
            100 * report["attrition"],
            ingest.attrition_warn_threshold,
            report["failures_by_reason"],
        )
    if dropped := report["dropped_rows"]:
        logger.warning(
            "%d rows of the earlier corpus are not in it any more, such as %s",
            len(dropped),
            ", ".join(dropped[:3]),
        )
