"""Plan, verify, score, merge, account: the five steps of an extraction."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from k150k_pipeline.cores import usable_cores
from k150k_pipeline.datasets import ClipFolder
from k150k_pipeline.errors import ClipError, InputError, LostRowsError
from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.due import deal, survey
from k150k_pipeline.journal.fingerprint import fingerprint
from k150k_pipeline.journal.worker import work_through
from k150k_pipeline.media.probe import probe
from k150k_pipeline.pipelines.clipwise import check_failure_rate, failures_table, read_due
from k150k_pipeline.pipelines.feature_extraction import outputs, planning
from k150k_pipeline.schemas.extraction import ExtractionPlan
from k150k_pipeline.schemas.labels import read_labels
from k150k_pipeline.schemas.parameters import ExtractParameters, VmafParameters
from k150k_pipeline.summary import summarise
from k150k_pipeline.vmaf import ClipScore, Engine, make_engine
from k150k_pipeline.vmaf.aggregate import aggregate
from k150k_pipeline.vmaf.plans import FULL, IDENTITY, PLANS, Plan, refuse_small
from k150k_pipeline.vmaf.scoring import describe_scoring
from k150k_pipeline.vmaf.verify import compare_plans

logger = logging.getLogger(__name__)

_TRIES_PER_VERIFIED_CLIP = 10


def plan_extraction(
    scores: pd.DataFrame,
    clips: ClipFolder,
    journal: Journal,
    extract: ExtractParameters,
    vmaf: VmafParameters,
    *,
    corpus: str,
    labels_name: str,
) -> dict[str, Any]:
    """Decide which clips are due, and refuse whatever would waste hours.

    Args:
        scores: Scores CSV, every cell as text, or a MOS corpus.
        clips: Folder of the clips.
        journal: What earlier runs finished.
        extract: Block ``extract``.
        vmaf: Block ``vmaf``.
        corpus: Corpus of the run.
        labels_name: What the labels are called in messages.

    Returns:
        An :class:`ExtractionPlan` as a plain mapping.

    Raises:
        InputError: Bad labels or sidecar, no clip folder, no clip with a label, foreign
            journal rows.
        EngineError: The engine cannot score.
        LostRowsError: ``.done`` lists clips of which no row is at hand.
    """
    started_at = time.time()
    outputs.load_sidecar(extract)  # a bad one is refused now, not after the last clip
    labels = read_labels(
        scores, where=labels_name, scale=extract.score_scale, bad_rows=extract.bad_labels
    )
    mos, present = planning.match_labels(labels.mos, clips.names())
    scoring = describe_scoring(make_engine(vmaf).identify(), extract.plan)
    key = fingerprint(scoring)

    past = planning.read_past(journal, key, scoring, extract)
    progress = past.progress

    wanted = sorted(name for name in mos if name in present or name in progress.done)
    if not wanted:
        raise InputError(
            f"none of the {len(mos)} labels names a clip in {clips} "
            f"({len(present)} clips there, such as {sorted(present)[:3]})"
        )
    due, attempts = read_due(wanted[: extract.limit], progress, extract.max_attempts)
    plan = ExtractionPlan(
        corpus=corpus,
        fingerprint=key,
        accepted=sorted(past.accepted),
        scoring=scoring,
        mos={name: mos[name] for name in wanted},
        due=due,
        attempts=attempts,
        done_before=sum(1 for name in wanted if name in progress.done),
        recovered=past.recovered,
        clips_without_label=sorted(present - mos.keys()),
        labels_without_clip=sorted(mos.keys() - set(wanted)),
        bad_labels=labels.skipped,
        torn_lines=past.damage.torn,
        broken_lines=past.damage.broken,
        started_at=started_at,
    )
    planning.announce(journal, plan, extract)
    return plan.model_dump()


def verify_plans(
    plan: dict[str, Any],
    clips: ClipFolder,
    journal: Journal,
    extract: ExtractParameters,
    vmaf: VmafParameters,
) -> list[str]:
    """Score a few due clips under both plans and stop when they disagree.

    Returns:
        Names of the clips on which both plans agree; empty when there was nothing to verify.

    Raises:
        InputError: The plans disagree beyond the tolerance; both values are in the message.
    """
    due, key = plan["due"], plan["fingerprint"]
    if extract.plan != "identity" or not extract.verify_clips or not due:
        return []
    if known := journal.verdicts().get(key):
        logger.info("Plans already verified with this engine on %s", ", ".join(known))
        return known
    # Values do not depend on the thread count, so the slow full pass takes all cores.
    engine = make_engine(vmaf.model_copy(update={"threads": usable_cores()}))
    agreed: list[str] = []
    tries = min(len(due), _TRIES_PER_VERIFIED_CLIP * extract.verify_clips)
    for name in random.Random(extract.verify_seed).sample(due, tries):
        if len(agreed) == extract.verify_clips:
            break
        if _plans_agree(engine, clips.find(name), extract):
            agreed.append(name)
    if agreed:
        journal.add_verdict(key, agreed)
    else:
        logger.warning("Plans not verified: none of %d clips drawn can be scored", tries)
    return agreed


def score_shard(
    plan: dict[str, Any],
    verified: list[str],  # noqa: ARG001 - nothing is scored before the plans are verified
    clips: ClipFolder,
    journal: Journal,
    extract: ExtractParameters,
    vmaf: VmafParameters,
    *,
    shard: int,
    shards: int,
) -> dict[str, Any]:
    """Score one shard's clips, journaling each before the next starts.

    Args:
        plan: Plan of the run.
        verified: Clips on which the plans agree.
        clips: Folder of the clips.
        journal: Where finished clips go.
        extract: Block ``extract``.
        vmaf: Block ``vmaf``.
        shard: Index of this shard.
        shards: Number of shards.

    Returns:
        Counts of finished and failed clips, and of fsyncs with their seconds.
    """
    engine, scoring_plan = make_engine(vmaf), PLANS[extract.plan]

    def process(name: str) -> dict[str, Any]:
        return to_payload(_score(engine, clips.find(name), scoring_plan, extract))

    with journal.writer(shard, plan["fingerprint"], plan["scoring"]) as writer:
        hand = deal(plan["due"], shard, shards)
        return vars(work_through(hand, process, writer, plan["attempts"]))


def to_payload(score: ClipScore) -> dict[str, Any]:
    """Return what the journal keeps of a scored clip: size, frames and the 44 values."""
    return {
        "width": score.clip.width,
        "height": score.clip.height,
        "frames": score.frames,
        "values": aggregate(score.values),
    }


def merge_extraction(
    plan: dict[str, Any], journal: Journal, extract: ExtractParameters, tally: dict[str, Any]
) -> tuple[pa.Table, pd.DataFrame, dict[str, Any], dict[str, Any]]:
    """Derive the features table, the failures table and the report from the journal.

    Returns:
        Arrow table of 48 columns sorted by clip name; one row per clip without a row; report,
        twice: the second is saved last and says that the others are on the disk.

    Raises:
        LostRowsError: The rows are not those from before plus those newly finished; no output
            is replaced.
    """
    todo = ExtractionPlan.model_validate(plan)
    progress = survey(journal.entries(), todo.fingerprint, todo.accepted)
    table = outputs.features_table(todo, journal)
    sidecar = outputs.load_sidecar(extract)
    failures = failures_table(todo.mos.keys() - progress.done, progress, extract.max_attempts)
    report = {
        **outputs.report(todo, table, failures, tally),
        "metadata": outputs.count_matches(table, sidecar),
    }
    report["summary"] = summarise(report)
    _refuse_wrong_count(journal, report["counts"])
    logger.info("%s", report["summary"])
    return outputs.join_sidecar(table, sidecar, extract), failures, report, report


def account_for_clips(report: dict[str, Any], journal: Journal, extract: ExtractParameters) -> None:
    """Read the parquet back, then close the books: ``.done``, staging file, failure rate.

    Args:
        report: Report of the run, saved after its features.
        journal: Journal of the run; it knows the parquet.
        extract: Block ``extract``.

    Raises:
        LostRowsError: The parquet is not what was written; every checkpoint stays as it is.
        FailureRateError: More clips failed than ``extract.max_failure_rate`` allows.
    """
    names = pq.read_table(journal.output, columns=["clip_name"])["clip_name"].to_pylist()
    if len(names) != report["counts"]["rows"]:
        raise LostRowsError(
            f"{journal.output} was written with {report['counts']['rows']} rows and is read back "
            f"with {len(names)}. The journal in {journal.folder} is kept; run again"
        )
    journal.legacy.write_done(names)
    if extract.legacy == "take_over":
        journal.legacy.drop_staging()
    check_failure_rate(report, extract.max_failure_rate, "extract.max_failure_rate", journal.output)


def _refuse_wrong_count(journal: Journal, counts: Mapping[str, int]) -> None:
    surplus = counts["rows"] - counts["done_before"] - counts["newly_finished"]
    # Runs on the journals that are read too may have finished clips meanwhile.
    if surplus < 0 or (surplus and not journal.also):
        raise LostRowsError(
            f"the journal yields {counts['rows']} rows, but {counts['done_before']} were there "
            f"before and {counts['newly_finished']} were finished now. {journal.output} is left as "
            f"it was and the journal in {journal.folder} is kept; please report this"
        )


def _score(engine: Engine, path: Path, plan: Plan, extract: ExtractParameters) -> ClipScore:
    clip = probe(path)
    if extract.small_clips == "fail":
        refuse_small(clip)
    return engine.score(clip, plan)


def _plans_agree(engine: Engine, path: Path, extract: ExtractParameters) -> bool:
    try:
        identity, full = (_score(engine, path, plan, extract) for plan in (IDENTITY, FULL))
    except ClipError as error:
        logger.info("Not verified on a clip that cannot be scored: %s", error)
        return False
    if disagreements := compare_plans(identity, full):
        raise InputError(
            f"the identity plan and the full plan disagree on {path.name}: "
            + "; ".join(map(str, disagreements))
            + ". Use extract.plan=full, and please report this clip"
        )
    return True
