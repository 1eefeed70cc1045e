"""Nodes of extract: plan, verify, score, merge, account."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import pandas as pd
import pyarrow as pa

from k150k_pipeline.cores import usable_cores
from k150k_pipeline.datasets import ClipFolder
from k150k_pipeline.errors import LostRowsError
from k150k_pipeline.journal import Journal, Payload
from k150k_pipeline.journal.fingerprint import fingerprint
from k150k_pipeline.journal.worker import Tally, work_through
from k150k_pipeline.media.identity import FileIdentity
from k150k_pipeline.pipelines.clipwise import (
    DealtClips,
    Report,
    failures_table,
    make_shares,
    read_due,
    read_share,
    refuse_other_scoring,
    refuse_wrong_count,
    shard_journal,
    summarise,
    with_failed_clips,
    with_late_rows,
)
from k150k_pipeline.pipelines.clipwise.changes import Changes, RowFiles
from k150k_pipeline.pipelines.feature_extraction import outputs, planning
from k150k_pipeline.pipelines.feature_extraction.data_card import data_card
from k150k_pipeline.pipelines.feature_extraction.describing import (
    describe_clips,
    extra_table,
    records_of,
)
from k150k_pipeline.pipelines.feature_extraction.feature_file import read_back, read_names
from k150k_pipeline.pipelines.feature_extraction.gathering import Gathered, gather
from k150k_pipeline.pipelines.feature_extraction.keeping import keep_originals, settle_staging
from k150k_pipeline.pipelines.feature_extraction.legacy import LegacyFiles
from k150k_pipeline.pipelines.feature_extraction.picturing import CLIPS_ON_PAGE, draw
from k150k_pipeline.pipelines.feature_extraction.plan import ExtractionPlan
from k150k_pipeline.pipelines.feature_extraction.verdicts import add_verdict, read_verdicts
from k150k_pipeline.pipelines.feature_extraction.verifying import verify_on
from k150k_pipeline.pipelines.sidecar_join import Sidecar
from k150k_pipeline.schemas.labels import read_labels
from k150k_pipeline.schemas.parameters import ExtractParameters, PlanName, VmafParameters
from k150k_pipeline.vmaf import ClipScore, decide_backend, make_engine
from k150k_pipeline.vmaf.aggregate import aggregate
from k150k_pipeline.vmaf.isolated_scoring import IsolatedScorer
from k150k_pipeline.vmaf.plans import PLANS, refuse_small
from k150k_pipeline.vmaf.scoring import describe_scoring
from k150k_pipeline.vmaf.verify import NATIVE_TOLERANCES, TOLERANCES

logger = logging.getLogger(__name__)

_VERIFYING_THREADS = 4


def plan_extraction(
    scores: pd.DataFrame,
    clips: ClipFolder,
    journal: Journal,
    extract: ExtractParameters,
    vmaf: VmafParameters,
    *,
    corpus: str,
    labels_name: str,
    shards: int,
) -> tuple[list[pa.Table], list[pa.Table], ExtractionPlan]:
    """Decide which clips are due, and refuse a run that could not succeed.

    Args:
        scores: Scores CSV, every cell as text, or a MOS corpus.
        clips: Folder of the clips.
        journal: Results of earlier runs.
        extract: Block ``extract``.
        vmaf: Block ``vmaf``.
        corpus: Corpus of the run.
        labels_name: Name of the labels in messages.
        shards: Number of shards.

    Returns:
        Names and MOS of the wanted clips, in parts; the due clips of each shard; the plan.

    Raises:
        InputError: Labels or sidecar are bad, the clip folder does not exist, no clip has a
            label, the journal has foreign rows, or a file beside the output has rows that do not
            fit.
        EngineError: The engine cannot score.
        LostRowsError: ``.done`` lists clips that have no row anywhere.
    """
    started_at = time.time()
    _refuse_bad_inputs(journal, extract, vmaf)
    where = scores.attrs.get("path", labels_name)
    labels = read_labels(
        scores, where=where, scale=extract.score_scale, bad_rows=extract.bad_labels
    )
    mos, present = planning.match_labels(labels.mos, clips.names())
    vmaf = decide_backend(vmaf, extract.plan)
    scoring = describe_scoring(make_engine(vmaf).identify(), extract.plan)
    key = fingerprint(scoring)
    scorer = IsolatedScorer(vmaf, extract.memory_limit_mb, extract.probe_timeout_s)

    def look(files: RowFiles) -> Changes:
        return planning.compare_files(files, present, clips, journal, scorer, extract)

    past = planning.read_past(journal, key, scoring, extract, look)
    wanted = planning.wanted_clips(mos, present, past.progress.done, clips)
    due, attempts = read_due(wanted[: extract.limit], past.progress, extract.max_attempts)
    plan = ExtractionPlan(
        corpus=corpus,
        fingerprint=key,
        accepted=sorted(past.accepted),
        scoring=scoring,
        wanted=len(wanted),
        due=len(due),
        done_before=sum(1 for name in wanted if name in past.progress.done),
        recovered=past.recovered,
        clips_without_label=sorted(present - mos.keys()),
        labels_without_clip=sorted(mos.keys() - set(wanted)),
        bad_labels=labels.skipped,
        changed_clips=past.changes.changed,
        unknown_files=past.changes.unknown,
        superseded=past.changes.superseded,
        torn_lines=past.damage.torn,
        broken_lines=past.damage.broken,
        started_at=started_at,
    )
    planning.announce(journal, plan, extract)
    return planning.clip_parts(wanted, mos), make_shares(due, attempts, shards), plan


def _refuse_bad_inputs(journal: Journal, extract: ExtractParameters, vmaf: VmafParameters) -> None:
    """Refuse what would end the run after hours: a bad sidecar, record or model."""
    outputs.load_sidecar(extract)
    if extract.extra_columns:
        records_of(journal).scorings()
    PLANS[extract.plan].require_model(vmaf.model)


def verify_plans(
    plan: ExtractionPlan,
    shares: Sequence[pa.Table],
    clips: ClipFolder,
    journal: Journal,
    extract: ExtractParameters,
    vmaf: VmafParameters,
) -> list[str]:
    """Score the first frames of a few due clips under both plans; refuse if these disagree.

    Returns:
        Names of the clips on which both plans agree; empty if there was nothing to verify.

    Raises:
        InputError: The plans disagree beyond the tolerance; both values are in the message.
    """
    if extract.plan != "identity" or not extract.verify_clips or not plan.due:
        return []
    if known := read_verdicts(journal).get(plan.fingerprint):
        logger.info("Plans already verified with this engine on %s", ", ".join(known))
        return known
    # Values do not depend on the thread count, but the memory of the slow full pass does.
    threads = max(vmaf.threads, min(usable_cores(), _VERIFYING_THREADS))
    faster = plan.with_engine(vmaf).model_copy(update={"threads": threads})
    scorer = IsolatedScorer(faster, extract.memory_limit_mb, extract.probe_timeout_s)
    tolerances = NATIVE_TOLERANCES if faster.backend == "native" else TOLERANCES
    due = DealtClips(shares, plan.due)
    if agreed := verify_on(due, clips, scorer, extract, tolerances):
        add_verdict(journal, plan.fingerprint, agreed)
    return agreed


def score_shard(
    plan: ExtractionPlan,
    shares: Sequence[pa.Table],
    verified: list[str],  # noqa: ARG001 - nothing is scored before the plans are verified
    clips: ClipFolder,
    journal: Journal,
    extract: ExtractParameters,
    vmaf: VmafParameters,
    *,
    shard: int,
    shards: int,
) -> Tally:
    """Score one shard's clips, journaling each before the next starts.

    Args:
        plan: Plan of the run.
        shares: The due clips of each shard.
        verified: Clips on which the plans agree.
        clips: Folder of the clips.
        journal: Where finished clips go.
        extract: Block ``extract``.
        vmaf: Block ``vmaf``.
        shard: Index of this shard.
        shards: Number of shards.

    Returns:
        Counts of finished and failed clips, and of fsyncs with their seconds.

    Raises:
        EngineError: The engine of this machine is missing, or is not that of the plan.
        InputError: The clips were dealt to another number of shards.
    """
    decided = plan.with_engine(vmaf)
    names, attempts = read_share(shares, shard, shards)
    if names:
        refuse_other_scoring(plan, _scoring_here(decided, extract.plan))
    scorer = IsolatedScorer(decided, extract.memory_limit_mb, extract.probe_timeout_s)

    with shard_journal(journal, plan, shard) as lines, clips.at_hand(lines.to_do(names)) as here:

        def process(name: str) -> Payload:
            clip = scorer.probe(here.find(name))
            if extract.small_clips == "fail":
                refuse_small(clip)
            return to_payload(scorer.score(clip, PLANS[extract.plan]))

        def identify(name: str) -> FileIdentity:
            return scorer.identify_file(here.find(name))

        return work_through(names, process, lines, attempts, identify)


@lru_cache(maxsize=4)
def _scoring_here(vmaf: VmafParameters, plan: PlanName) -> dict[str, str | int]:
    return describe_scoring(make_engine(vmaf).identify(), plan)


def to_payload(score: ClipScore) -> Payload:
    """Return a scored clip in the form of the journal: size, frames and the 44 values.

    If it is unknown whether the clip is whole, the reason is under ``doubt``.

    Raises:
        ValueError: Only the first frames of the clip were scored.
    """
    if not score.whole:
        raise ValueError(f"{score.clip.path}: only the first {score.frames} frames were scored")
    doubt = {"doubt": score.clip.doubt} if score.clip.doubt else {}
    return {
        "width": score.clip.width,
        "height": score.clip.height,
        "frames": score.frames,
        "values": aggregate(score.values),
        **doubt,
    }


def merge_extraction(
    plan: ExtractionPlan,
    wanted: Sequence[pa.Table],
    journal: Journal,
    extract: ExtractParameters,
    tally: Tally,
) -> tuple[pa.Table | pa.RecordBatchReader, pd.DataFrame, Report, str, Report]:
    """Derive the features table, the failures table, report and data card from the journal.

    An output that this package did not write is kept under another name before it is replaced.

    Args:
        plan: Plan of the run.
        wanted: Names and MOS of the wanted clips, sorted, in parts.
        journal: Journal of the run.
        extract: Block ``extract``.
        tally: What the shards did.

    Returns:
        Arrow table of 48 columns sorted by clip name, or a reader of such a table, if there are
        several parts; failures table, one row per clip without a row; report; data card in
        Markdown; the report again with the first failed clips, which is saved last, when the others
        are on the disk.

    Raises:
        LostRowsError: The number of rows is not that of earlier runs plus that of this run; no
            output is replaced.
    """
    sidecar = outputs.load_sidecar(extract)
    rows = _gather(plan, wanted, journal, extract, sidecar)
    return _derive(plan, rows, journal, extract, tally, sidecar)


def merge_with_extra(
    plan: ExtractionPlan,
    wanted: Sequence[pa.Table],
    journal: Journal,
    extract: ExtractParameters,
    tally: Tally,
    clips: ClipFolder,
) -> tuple[pa.Table | pa.RecordBatchReader, pd.DataFrame, Report, str, pa.Table, Report]:
    """Merge, and derive the table of extra columns too.

    Returns:
        What :func:`merge_extraction` returns, with the table of ``extract.extra_columns`` before
        the last report: one row per row of the features, in the same order.

    Raises:
        LostRowsError: As :func:`merge_extraction` raises it.
        JournalError: What was read of a clip cannot be recorded.
    """
    sidecar = outputs.load_sidecar(extract)
    rows = _gather(plan, wanted, journal, extract, sidecar)
    names = list(rows.names())
    facts = describe_clips(names, clips, journal, extract)
    *derived, merged = _derive(plan, rows, journal, extract, tally, sidecar)
    return *derived, extra_table(names, facts, extract), merged


def _gather(
    plan: ExtractionPlan,
    wanted: Sequence[pa.Table],
    journal: Journal,
    extract: ExtractParameters,
    sidecar: Sidecar | None,
) -> Gathered:
    journal.fetch_output()
    return gather(
        plan, wanted, journal, lambda table: outputs.join_sidecar(table, sidecar, extract)
    )


def _derive(
    plan: ExtractionPlan,
    rows: Gathered,
    journal: Journal,
    extract: ExtractParameters,
    tally: Tally,
    sidecar: Sidecar | None,
) -> tuple[pa.Table | pa.RecordBatchReader, pd.DataFrame, Report, str, Report]:
    features = outputs.features_table(rows, journal)
    failures = failures_table(rows.failed, rows.attempts, extract.max_attempts)
    settled = with_late_rows(tally, rows.rows - plan.done_before, failures, rows.attempts)
    report = {
        **outputs.report(plan, features, rows.rows, failures, settled),
        "completeness_unknown": rows.doubtful,
        "metadata": outputs.count_matches(rows, sidecar),
    }
    report["counts"]["completeness_unknown"] = len(rows.doubtful)
    report["changed_clips"] = plan.changed_clips
    report["counts"]["changed_clips"] = len(plan.changed_clips)
    report["counts"]["unknown_files"] = plan.unknown_files
    report["summary"] = summarise(report)
    refuse_wrong_count(report, journal)
    keep_originals(journal, extract, rows.names)
    logger.info("%s", report["summary"])
    card = data_card(features, plan.corpus, report["counts"])
    merged = with_failed_clips(report, failures["clip_name"], failures["reason"])
    return features.to_save(), failures, report, card, merged


def account_for_clips(
    report: Report, journal: Journal, extract: ExtractParameters, vmaf: VmafParameters
) -> tuple[Any, ...]:
    """Read the parquet back, then write ``.done``, settle the staging file, and draw the page.

    Args:
        report: Report of the run, saved after its features.
        journal: Journal of the run; its ``output`` is the parquet.
        extract: Block ``extract``.
        vmaf: Block ``vmaf``, which the page shows.

    Returns:
        The report page; its figures, in the order of ``reports.extract.FIGURES``; the report, saved
        last and saying that the page is on the disk.

    Raises:
        LostRowsError: The parquet is not what was written; the checkpoint stays as it is.
    """
    journal.fetch_output()
    table, rows = read_back(journal.output, CLIPS_ON_PAGE)
    if rows != report["counts"]["rows"]:
        raise LostRowsError(
            f"{journal.output} was written with {report['counts']['rows']} rows and is read back "
            f"with {rows}. The journal in {journal.folder} is kept: run the same command "
            "again"
        )
    names = partial(read_names, journal.output)
    LegacyFiles(journal.output).write_done(names())
    if extract.legacy != "ignore":
        settle_staging(journal, names)
    page, figures = draw(report, table, journal, extract, vmaf)
    return page, *figures, report
