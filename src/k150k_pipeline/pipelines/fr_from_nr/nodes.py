"""Nodes of fr_from_nr: plan, sweep, merge, account."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pandas as pd

from k150k_pipeline.datasets import ClipFolder
from k150k_pipeline.errors import LostRowsError
from k150k_pipeline.fr_from_nr import NrInputRow
from k150k_pipeline.fr_from_nr.isolated_sweep import identify_isolated, make_adapter, sweep_isolated
from k150k_pipeline.journal import Journal, Payload
from k150k_pipeline.journal.due import survey
from k150k_pipeline.journal.worker import Tally, work_through
from k150k_pipeline.media.identity import FileIdentity
from k150k_pipeline.pipelines.clipwise import (
    Report,
    deal,
    facts_of_page,
    failures_table,
    refuse_other_scoring,
    refuse_wrong_count,
    shard_journal,
    with_failed_clips,
    with_late_rows,
)
from k150k_pipeline.pipelines.fr_from_nr import outputs, planning
from k150k_pipeline.pipelines.fr_from_nr.corpus_bytes import CorpusBytes
from k150k_pipeline.pipelines.fr_from_nr.plan import FrPlan
from k150k_pipeline.reports import published
from k150k_pipeline.reports.curves import read_sweeps
from k150k_pipeline.reports.fr_from_nr import FIGURES, Swept, fr_page
from k150k_pipeline.schemas.fr_parameters import FrParameters
from k150k_pipeline.schemas.parameters import VmafParameters

logger = logging.getLogger(__name__)


def plan_fr(
    corpus: pd.DataFrame,
    clips: ClipFolder,
    journal: Journal,
    fr_from_nr: FrParameters,
    vmaf: VmafParameters,
) -> FrPlan:
    """Decide which clips are due, and refuse a run that could not succeed.

    Args:
        corpus: MOS corpus, one row per clip.
        clips: Folders of the clips.
        journal: Results of earlier runs.
        fr_from_nr: Block ``fr_from_nr``.
        vmaf: Block ``vmaf``.

    Raises:
        InputError: The corpus is unusable, none of its clips exists, or the journal has foreign
            rows.
        EngineError: ffmpeg, encoder or engine is missing or lacks something.
    """
    plan = planning.make_plan(corpus, clips, journal, fr_from_nr, vmaf)
    planning.announce(journal, plan, fr_from_nr)
    return plan


def sweep_shard(
    plan: FrPlan,
    clips: ClipFolder,
    journal: Journal,
    fr_from_nr: FrParameters,
    vmaf: VmafParameters,
    *,
    shard: int,
    shards: int,
) -> Tally:
    """Encode and score one shard's clips; all rows of a clip are one journal line.

    Args:
        plan: Plan of the run.
        clips: Folders of the clips.
        journal: Where finished clips go.
        fr_from_nr: Block ``fr_from_nr``.
        vmaf: Block ``vmaf``.
        shard: Index of this shard.
        shards: Number of shards.

    Returns:
        Counts of finished and failed clips, and of fsyncs with their seconds.

    Raises:
        EngineError: The engine of this machine is missing, or is not that of the plan.
    """
    decided = plan.with_engine(vmaf)
    if due := deal(plan.due, shard, shards):
        adapter = make_adapter(fr_from_nr, decided, plan.run_id)
        refuse_other_scoring(plan, planning.describe(adapter, fr_from_nr))

    with shard_journal(journal, plan, shard) as lines, clips.at_hand(lines.to_do(due)) as here:

        def row_of(name: str) -> NrInputRow:
            clip = plan.clips[name]
            return NrInputRow(name, here.find(name), clip.mos, clip.sha256)

        def process(name: str) -> Payload:
            return sweep_isolated(row_of(name), fr_from_nr, decided, plan.run_id)

        def identify(name: str) -> FileIdentity:
            return identify_isolated(row_of(name), fr_from_nr)

        return work_through(due, process, lines, plan.attempts, identify)


def merge_fr(
    plan: FrPlan, journal: Journal, fr_from_nr: FrParameters, tally: Tally
) -> tuple[Any, ...]:
    """Derive the FR corpus, its manifest, the failures table and the report from the journal.

    Returns:
        Rows sorted by clip and CRF; manifest; failures table, one row per clip without FR rows;
        report; with ``fr_from_nr.parquet`` the rows again, as Arrow batches; the report again with
        the first failed clips, which is saved last, when the others are on the disk.

    Raises:
        LostRowsError: The number of clips is not that of earlier runs plus that of this run; no
            output is replaced.
    """
    entries = CorpusBytes(plan.clips).of(journal.entries(skipped=plan.broken_lines))
    progress = survey(entries, plan.fingerprint, plan.accepted)
    rows = outputs.FrRows(plan, journal)
    failures = failures_table(plan.clips.keys() - progress.done, progress, fr_from_nr.max_attempts)
    settled = with_late_rows(tally, rows.clips - plan.done_before, failures, progress)
    report = outputs.report(plan, rows, failures, settled)
    refuse_wrong_count(report, journal)
    logger.info("%s", report["summary"])
    table = (rows.batches(),) if fr_from_nr.parquet else ()
    merged = with_failed_clips(report, failures["clip_name"], failures["reason"])
    return (rows, outputs.manifest(plan, rows, journal), failures, report, *table, merged)


def account_for_rows(
    report: Report, journal: Journal, fr_from_nr: FrParameters, vmaf: VmafParameters
) -> tuple[Any, ...]:
    """Read the written corpus back, count its rows, and draw the page.

    Args:
        report: Report of the run, saved after its rows.
        journal: Journal of the run; its ``output`` is the corpus.
        fr_from_nr: Block ``fr_from_nr``, which the page shows.
        vmaf: Block ``vmaf``, which the page shows.

    Returns:
        The report page; its figures, in the order of ``reports.fr_from_nr.FIGURES``; the report,
        saved last and saying that the page is on the disk.

    Raises:
        LostRowsError: The corpus is not what was written.
    """
    journal.fetch_output()
    sweeps = read_sweeps(_read_rows(journal))
    if len(sweeps.crf) != report["counts"]["fr_rows"]:
        raise LostRowsError(
            f"{journal.output} was written with {report['counts']['fr_rows']} rows and is read "
            f"back with {len(sweeps.crf)}. The journal in {journal.folder} is kept: run the same "
            "command again"
        )
    facts, failed = facts_of_page(report)
    blocks = {
        "fr_from_nr": fr_from_nr.model_dump(mode="json"),
        "vmaf": vmaf.model_dump(mode="json"),
    }
    page, figures = published(
        f"FR rows of {report['corpus']}",
        lambda: fr_page(Swept(facts, sweeps, failed, blocks)),
        FIGURES,
    )
    return (page, *figures, report)


def _read_rows(journal: Journal) -> Iterator[dict[str, Any]]:
    with journal.output.open("rb") as file:
        yield from map(json.loads, file)
