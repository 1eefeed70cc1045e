"""Nodes of mos_head: build the training table, cross-validate, train and judge, draw."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos import contradictions
from k150k_pipeline.mos.ceiling import counted_votes
from k150k_pipeline.mos.engines import (
    Engines,
    disagreement,
    engines_of,
    engines_of_file,
    mixed,
)
from k150k_pipeline.mos.finished import NOTHING_KEPT, Finished
from k150k_pipeline.mos.splits import Splits, group_contents, split
from k150k_pipeline.mos.table import (
    DEVELOPMENT,
    HELD_OUT,
    JUDGE,
    LEAST_ROWS,
    METADATA_COLUMNS,
    SET_ASIDE,
    VMAF_COLUMN,
    TrainingTable,
    build_table,
    corpus_versions,
    describe_mos,
    few,
    fingerprint,
    metadata_ranges,
    read_frame,
    read_rows,
)
from k150k_pipeline.mos.types import CrossValidation, TableFacts, Verdict, with_nan, without_nan
from k150k_pipeline.mos.words import describe_folds, describe_table
from k150k_pipeline.reports import Page, published
from k150k_pipeline.schemas.mos_parameters import ModelKind, MosHeadParameters

logger = logging.getLogger(__name__)

_SAVED = (
    "clip_name", "corpus", "mos", "split", "content_id", "src_sha256", "n_ratings", "mos_std_dev",
)  # fmt: skip


def make_table(
    features: pa.Table,
    corpus: pd.DataFrame,
    mos_head: MosHeadParameters,
    finished: Finished = NOTHING_KEPT,
) -> tuple[pa.Table, TableFacts]:
    """Join features, labels and metadata, and mark which part each clip belongs to.

    Args:
        features: Features parquet.
        corpus: Corpus rows, as ``ingest`` makes them.
        mos_head: Block ``mos_head``.
        finished: Finished folds; the number of fits of this run is announced there.

    Returns:
        The training table, and facts on it.

    Raises:
        InputError: No model can be trained on the table; the message says why.
    """
    fr_rows = None
    if mos_head.fr_corpus is not None:
        fr_rows = read_rows(mos_head.fr_corpus, "mos_head.fr_corpus")
    table = build_table(features.to_pandas(), corpus, mos_head.columns, mos_head.corpus, fr_rows)
    engines = engines_of(features.schema.metadata)
    warnings = [*filter(None, [mixed(engines)]), *contradictions.find(table.frame, corpus)]
    frame, of_judge = _with_judge(table, mos_head, fr_rows)
    warnings += of_judge
    frame["content"] = group_contents(frame, mos_head.splits.group_columns)
    splits = _mark_parts(frame, mos_head)
    _refuse_foreign_votes(frame, mos_head)
    _announce(len(splits.folds), mos_head, finished)
    judge_engines, disagree = _judge_engines(mos_head, engines)
    warnings += disagree
    for warning in warnings:
        logger.warning("%s", warning)
    facts: TableFacts = {
        "inputs": table.inputs,
        "dropped_columns": table.dropped,
        **table.counts,
        "corpus_versions": corpus_versions(table.frame, corpus),
        "mos": describe_mos(table.frame),
        "parts": dict(sorted(Counter(frame["part"]).items())),
        "split_policy": splits.policy,
        "scored_with": engines,
        "judge_scored_with": judge_engines,
        "metadata_ranges": metadata_ranges(frame[frame["part"] == DEVELOPMENT]),
        "fingerprint": fingerprint(frame, table.inputs),
        "warnings": warnings,
    }
    logger.info("Training table: %s", describe_table(facts))
    columns = [*_SAVED, *mos_head.splits.group_columns, *table.inputs, *METADATA_COLUMNS]
    wanted = dict.fromkeys([*columns, VMAF_COLUMN, "content", "part"])
    saved = frame[[c for c in wanted if c in frame.columns]]
    return pa.Table.from_pandas(saved, preserve_index=False), facts


def cross_validate(
    table: pd.DataFrame,
    facts: TableFacts,
    mos_head: MosHeadParameters,
    finished: Finished = NOTHING_KEPT,
    *,
    kind: ModelKind,
    part: int = 0,
    parts: int = 1,
) -> CrossValidation | dict[str, Any]:
    """Fit and score one kind of model on its share of the folds; by default on all folds.

    Args:
        table: The training table.
        facts: Facts on it.
        mos_head: Block ``mos_head``.
        finished: Folds of earlier runs, which are not fitted again.
        kind: Kind of model.
        part: Number of this share.
        parts: Number of shares, to which the folds are dealt in turn.

    Returns:
        Scores; empty if the share has no fold, or ``mos_head.models`` lacks the kind.
    """
    from k150k_pipeline.mos import judging  # scikit-learn: not for every command

    if kind not in mos_head.models:
        return {}
    frame, splits = _own_rows(table, mos_head)
    share = replace(splits, folds=splits.folds[part::parts])
    if not share.folds:
        return {}
    result: CrossValidation = without_nan(
        judging.cross_validate(frame, facts["inputs"], share, kind, mos_head, finished)
    )
    return result


def train(
    table: pd.DataFrame,
    facts: TableFacts,
    mos_head: MosHeadParameters,
    finished: Finished,
    *results: CrossValidation,
) -> tuple[pa.Table, Verdict, dict[str, bytes], dict[str, Any]]:
    """Fit the chosen model on all development clips, judge it, and make its files.

    Returns:
        Predictions for the judged clips, metrics, the files of the model set, and the report.

    Raises:
        InputError: The exported file does not agree with the model.
    """
    from k150k_pipeline.mos import training

    frame, splits = _own_rows(table, mos_head)
    by_kind = _join(results)
    judged, judged_on = _judged_rows(table, frame, splits)
    trained = training.train(
        frame.iloc[splits.development],
        judged,
        judged_on,
        # Held-out labels come from the same votes as the rest, and more labels estimate better.
        judged if mos_head.judge_features is not None else frame,
        facts,
        by_kind,
        mos_head,
        lambda seed: finished.count({"done": 1, "note": f"the exported model, seed {seed}"}),
    )
    logger.info("%s", trained.summary)
    metrics: Verdict = without_nan(trained.verdict)
    report = {
        "summary": trained.summary,
        "model_set": sorted(trained.files),
        "data": facts,
        "metrics": metrics,
    }
    # An empty attribute that this file has always had: without it, equal rows have other bytes.
    trained.predictions.attrs["k150k"] = ""
    predictions = pa.Table.from_pandas(trained.predictions, preserve_index=False)
    return predictions, metrics, trained.files, report


def _join(results: Sequence[CrossValidation]) -> dict[ModelKind, CrossValidation]:
    """Join the shares of each kind, and log its scores."""
    from k150k_pipeline.mos import judging

    shares: dict[ModelKind, list[CrossValidation]] = {}
    for result in filter(None, results):
        shares.setdefault(result["kind"], []).append(with_nan(result))
    joined = {kind: judging.join(parts) for kind, parts in shares.items()}
    for result in joined.values():
        logger.info("%s", describe_folds(result))
    return joined


def draw(
    facts: TableFacts,
    metrics: Verdict,
    predictions: pd.DataFrame,
    mos_head: MosHeadParameters,
    *,
    figures: Sequence[str],
) -> tuple[Any, ...]:
    """Draw the report of a judged model.

    Args:
        facts: Facts on the training table.
        metrics: The verdict.
        predictions: Predictions for the judged clips.
        mos_head: Block ``mos_head``.
        figures: Names of the figures.

    Returns:
        The page as HTML, and its figures in the order of their names.
    """
    made_at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    report = {"data": facts, "metrics": metrics}

    def make() -> Page:
        from k150k_pipeline.reports.mos_head import mos_head_page  # plotly: not for every command

        return mos_head_page(report, predictions, mos_head, made_at)

    page, drawn = published(f"MOS head: {metrics['verdict']}", make, figures)
    return (page, *drawn)


def _with_judge(
    table: TrainingTable, mos_head: MosHeadParameters, fr_rows: pd.DataFrame | None
) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of the table, those of ``mos_head.judge_features``, and warnings on these."""
    rows = table.frame.assign(part="")
    if mos_head.judge_features is None:
        return rows, []
    features = read_frame(mos_head.judge_features, "mos_head.judge_features")
    corpus = pd.DataFrame()
    if mos_head.judge_corpus is not None:
        corpus = read_rows(mos_head.judge_corpus, "mos_head.judge_corpus")
    judge = build_table(
        features, corpus, mos_head.columns, mos_head.corpus, fr_rows, inputs=table.inputs
    )
    found = contradictions.find(judge.frame, corpus)
    warnings = [f"mos_head.judge_features: {warning}" for warning in found]
    if empty := [c for c in table.inputs if judge.frame[c].isna().all()]:
        warnings.append(
            f"The judge's clips have no {', '.join(empty)}, so medians of the training clips stand "
            "for them: give mos_head.judge_corpus for metadata"
        )
    return pd.concat([rows, judge.frame.assign(part=JUDGE)], ignore_index=True), warnings


def _mark_parts(frame: pd.DataFrame, mos_head: MosHeadParameters) -> Splits:
    """Complete column ``part``, which names the judge's rows; return the splits of the others."""
    judged = frame["part"] == JUDGE
    shared = ~judged & frame["content"].isin(frame.loc[judged, "content"])
    frame.loc[shared, "part"] = SET_ASIDE
    own = np.flatnonzero(frame["part"] == "")
    splits = split(frame.iloc[own], mos_head.splits)
    _refuse_small_parts(splits, judged=bool(judged.any()))
    part = frame["part"].to_numpy(dtype=object)
    part[own] = DEVELOPMENT
    part[own[splits.held_out]] = HELD_OUT
    frame["part"] = part
    return splits


def _announce(folds: int, mos_head: MosHeadParameters, finished: Finished) -> None:
    """Announce the fits of the folds, and of the exported model."""
    ensembles = len(mos_head.models) * folds + 1
    finished.count({"due": ensembles * len(mos_head.seeds), "unit": "fits", "even": False})


def _refuse_small_parts(splits: Splits, *, judged: bool) -> None:
    """Refuse, before the first fit, a table with too few clips for any of its parts."""
    if not judged and not len(splits.held_out):
        raise InputError(
            f"no clip is held out ({splits.policy}): raise mos_head.splits.held_out, or add clips"
        )
    fewest = min(len(splits.development), *(len(fold.train) for fold in splits.folds))
    if fewest < LEAST_ROWS:
        raise InputError(
            f"{fewest} clips are left to fit a model on, fewer than {LEAST_ROWS}: add clips, or "
            "change mos_head.splits"
        )


def _refuse_foreign_votes(frame: pd.DataFrame, mos_head: MosHeadParameters) -> None:
    """Refuse, before the first fit, a votes CSV without a vote for any clip."""
    of_judge = mos_head.judge_features is not None
    counted = counted_votes(mos_head.ceiling, of_judge=of_judge)
    names = frame.loc[(frame["part"] == JUDGE) == of_judge, "clip_name"]
    if counted is not None and not names.isin(counted.index).any():
        raise InputError(
            f"the votes CSV of mos_head.ceiling has no vote for any of {len(names):,} clips "
            f"({few(names)}); its first are {few(counted.index)}. Give the votes of these clips"
        )


def _own_rows(table: pd.DataFrame, mos_head: MosHeadParameters) -> tuple[pd.DataFrame, Splits]:
    """Return the development and held-out rows, and their splits."""
    own = table["part"].isin([DEVELOPMENT, HELD_OUT])
    frame = table if own.all() else table[own].reset_index(drop=True)
    return frame, split(frame, mos_head.splits)


def _judged_rows(
    table: pd.DataFrame, frame: pd.DataFrame, splits: Splits
) -> tuple[pd.DataFrame, str]:
    judge = table[table["part"] == JUDGE]
    if len(judge):
        return judge, "the judge's clips (mos_head.judge_features)"
    return frame.iloc[splits.held_out], "the held-out part"


def _judge_engines(mos_head: MosHeadParameters, trained: Engines) -> tuple[Engines, list[str]]:
    """Return the engines of the judge's features, and a warning if the table has others."""
    if mos_head.judge_features is None:
        return {}, []
    found = engines_of_file(mos_head.judge_features)
    warning = disagreement(found, trained, "mos_head.judge_features")
    return found, [warning] if warning else []
