"""Scores of a model by fold, by seed and on the held-out part, and of simple baselines."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, cast

import numpy as np
import pandas as pd

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.finished import NOTHING_KEPT, Finished
from k150k_pipeline.mos.intervals import bootstrap
from k150k_pipeline.mos.metrics import METRICS, after_fit, plcc, rmse, score, srocc
from k150k_pipeline.mos.models import Head, fit_head
from k150k_pipeline.mos.origins import digest_of_arrays, digest_of_table, surroundings
from k150k_pipeline.mos.splits import Fold, Splits, Texts
from k150k_pipeline.mos.table import METADATA_COLUMNS, VMAF_COLUMN, describe_mos, uninformative
from k150k_pipeline.mos.types import (
    Baselines,
    BoundedScores,
    CrossValidation,
    Floats,
    FoldEnsembleScores,
    FoldMemberScores,
    FoldScores,
    Judgement,
    Scores,
    SeedScores,
)
from k150k_pipeline.schemas.mos_parameters import FitParameters, ModelKind, MosHeadParameters

_BASELINE_KINDS: tuple[ModelKind, ...] = ("ridge", "trees")
_SHOWN_ALONE = 5
_FITTED_BY = (
    __name__,
    *(f"k150k_pipeline.mos.{module}" for module in ("intervals", "metrics", "models", "table")),
    "k150k_pipeline.schemas.mos_parameters",
)
"""Modules whose code determines the scores of a fold."""

logger = logging.getLogger(__name__)


def cross_validate(
    frame: pd.DataFrame,
    inputs: Sequence[str],
    splits: Splits,
    kind: ModelKind,
    parameters: MosHeadParameters,
    finished: Finished = NOTHING_KEPT,
) -> CrossValidation:
    """Fit and score a kind of model on every fold: each of its seeds, and their ensemble.

    Args:
        frame: Rows that the splits refer to.
        inputs: Candidate input columns.
        splits: The folds.
        kind: Kind of regressor.
        parameters: Block ``mos_head``.
        finished: Folds of earlier runs, which are not fitted again; those of this run are added.
    """
    origin = _origin(frame, inputs, splits, kind, parameters)
    frame = frame.select_dtypes(["number", "bool"])  # each fold is a copy of what is there
    scores: list[FoldScores] = []
    for fold in splits.folds:
        name = f"{kind} {fold.name}"
        made_from = {**origin, "rows": digest_of_arrays([fold.train, fold.validate])}
        known = finished.look_up(name, made_from)
        if known is None:
            known = _score_fold(frame, inputs, fold, splits.contents, kind, parameters, finished)
            finished.keep(name, made_from, known, "folds")
        else:
            finished.count({"skipped": len(parameters.seeds)})
            logger.info("%s is kept from an earlier run and not fitted again", name)
        scores += known
    return _summary(kind, scores)


def join(parts: Sequence[CrossValidation]) -> CrossValidation:
    """Return the scores of all folds of a kind, which were dealt to parts in turn."""
    dealt = [_by_fold(part["scores"]) for part in parts]
    rounds = zip_longest(*dealt, fillvalue=[])
    scores = [record for folds in rounds for fold in folds for record in fold]
    return _summary(parts[0]["kind"], scores)


def choose(
    results: Mapping[ModelKind, CrossValidation], parameters: MosHeadParameters
) -> ModelKind:
    """Return the kind to export: ``mos_head.export``, else the one with the best PLCC.

    PLCC is that of cross-validation: nothing is chosen on the held-out part. Kinds whose file
    would hold training rows are left out, unless ``mos_head.export`` names one.
    """
    if parameters.export is not None:
        return parameters.export

    def rank(kind: ModelKind) -> tuple[float, float]:
        mean = results[kind]["mean"]
        return np.nan_to_num(mean["plcc"], nan=-np.inf), np.nan_to_num(mean["srocc"], nan=-np.inf)

    return max(parameters.shareable, key=rank)


def judge(
    head: Head, frame: pd.DataFrame, contents: Texts, parameters: MosHeadParameters
) -> Judgement:
    """Score a model on rows that it was not fitted on."""
    true = frame["mos"].to_numpy(dtype=float)
    by_member, by_ensemble = head.predict_all(frame)
    per_seed: list[SeedScores] = [
        {"seed": seed, **_with_intervals(predicted, true, contents, parameters)}
        for seed, predicted in zip(head.seeds, by_member, strict=True)
    ]
    return {
        "clips": len(frame),
        "contents": len(set(contents)),
        "mos": describe_mos(frame),
        "per_seed": per_seed,
        "mean": _mean(per_seed),
        "seed_spread": float(np.ptp([scores["plcc"] for scores in per_seed])),
        "ensemble": _with_intervals(by_ensemble, true, contents, parameters),
    }


def baselines(
    train: pd.DataFrame, judged: pd.DataFrame, inputs: Sequence[str], parameters: MosHeadParameters
) -> Baselines:
    """Score what a reader should compare a model with.

    Args:
        train: Rows that the model was fitted on.
        judged: Rows that it is judged on.
        inputs: Candidate input columns.
        parameters: Block ``mos_head``.

    Returns:
        ``mean_predictor_rmse``: RMSE of always predicting the training mean. ``metadata_only``:
        scores of models on the metadata columns alone, by kind. ``vmaf_only``: scores of the VMAF
        column itself. None where the columns do not vary. ``columns_alone``: the inputs that agree
        best with MOS.
    """
    true = judged["mos"].to_numpy(dtype=float)
    mean = float(train["mos"].mean())
    return {
        "mean_predictor_rmse": rmse(np.full(len(true), mean), true),
        "metadata_only": _metadata_only(train, judged, parameters),
        "vmaf_only": _vmaf_only(train, judged, parameters.fit),
        "columns_alone": _columns_alone(train, inputs),
    }


def importance(head: Head, frame: pd.DataFrame, parameters: MosHeadParameters) -> dict[str, float]:
    """Return the rise of RMSE per column when it is shuffled among the judged rows."""
    rows = frame.sample(min(len(frame), parameters.importance_rows), random_state=0)
    true = rows["mos"].to_numpy(dtype=float)
    unshuffled = rmse(head.predict(rows), true)
    random = np.random.default_rng(0)
    rises = {}
    for column in head.preparation.columns:
        errors = [
            rmse(head.predict(rows.assign(**{column: random.permutation(rows[column])})), true)
            for _ in range(parameters.importance_repeats)
        ]
        rises[column] = float(np.mean(errors)) - unshuffled
    return dict(sorted(rises.items(), key=lambda item: -item[1]))


def _origin(
    frame: pd.DataFrame,
    inputs: Sequence[str],
    splits: Splits,
    kind: ModelKind,
    parameters: MosHeadParameters,
) -> dict[str, Any]:
    """Return what the scores of the folds are made from, besides the rows of each."""
    has_contents = "content" in frame.columns
    return {
        "kind": kind,
        "inputs": list(inputs),
        "table": digest_of_table(frame if has_contents else frame.assign(content=splits.contents)),
        "seeds": list(parameters.seeds),
        "settings": getattr(parameters, kind).model_dump(mode="json"),
        "bootstrap_draws": parameters.bootstrap_draws,
        "fit": parameters.fit.model_dump(mode="json"),
        **surroundings(_FITTED_BY),
    }


def _score_fold(
    frame: pd.DataFrame,
    inputs: Sequence[str],
    fold: Fold,
    contents: Texts,
    kind: ModelKind,
    parameters: MosHeadParameters,
    finished: Finished,
) -> list[FoldScores]:
    def count(seed: int) -> None:
        finished.count({"done": 1, "note": f"{kind}, {fold.name}, seed {seed}"})

    head = fit_head(frame.iloc[fold.train], inputs, kind, parameters, parameters.seeds, count)
    rows = frame.iloc[fold.validate]
    true = rows["mos"].to_numpy(dtype=float)
    by_member, by_ensemble = head.predict_all(rows)
    members: list[FoldMemberScores] = [
        {"fold": fold.name, "seed": seed, **score(predicted, true, parameters.fit)}
        for seed, predicted in zip(head.seeds, by_member, strict=True)
    ]
    scores = _with_intervals(by_ensemble, true, contents[fold.validate], parameters)
    ensemble: FoldEnsembleScores = {"fold": fold.name, "seed": "ensemble", **scores}
    return [*members, ensemble]


def _summary(kind: ModelKind, scores: list[FoldScores]) -> CrossValidation:
    ensembles = [record for record in scores if record["seed"] == "ensemble"]
    return {
        "kind": kind,
        "scores": scores,
        "mean": _mean(ensembles),
        "fold_spread": float(np.ptp([record["plcc"] for record in ensembles])),
    }


def _by_fold(scores: Sequence[FoldScores]) -> list[list[FoldScores]]:
    names = dict.fromkeys(record["fold"] for record in scores)
    return [[record for record in scores if record["fold"] == name] for name in names]


def _mean(scores: Sequence[Scores]) -> Scores:
    """Return the mean of each metric."""
    return cast(Scores, {m: float(np.mean([each[m] for each in scores])) for m in METRICS})


def _with_intervals(
    predicted: Floats, true: Floats, contents: Texts, parameters: MosHeadParameters
) -> BoundedScores:
    draws, groups = parameters.bootstrap_draws, list(contents)
    scores = score(predicted, true, parameters.fit)
    # One curve for all draws: with a curve of its own, a draw of few clips fits its own noise.
    mapped = after_fit(predicted, true, parameters.fit)
    raw = bootstrap(predicted, true, groups, draws=draws, seed=0)
    fitted = (
        bootstrap(mapped, true, groups, draws=draws, seed=0, ranks=False) if _known(mapped) else raw
    )
    found = {**raw, "plcc_logistic": fitted["plcc"], "rmse_logistic": fitted["rmse"]}
    undefined = [math.nan, math.nan]
    return {
        **scores,
        "intervals": {m: found[m] if math.isfinite(scores[m]) else undefined for m in METRICS},
    }


def _known(values: Floats) -> bool:
    return bool(np.isfinite(values).all())


def _metadata_only(
    train: pd.DataFrame, judged: pd.DataFrame, parameters: MosHeadParameters
) -> dict[str, Scores] | None:
    columns = [c for c in METADATA_COLUMNS if c in train.columns]
    true = judged["mos"].to_numpy(dtype=float)
    by_kind: dict[str, Scores] = {}
    for kind in _BASELINE_KINDS:
        try:
            head = fit_head(train, columns, kind, parameters, parameters.seeds[:1])
        except InputError:
            return None
        by_kind[kind] = score(head.predict(judged), true, parameters.fit)
    return by_kind


def _vmaf_only(train: pd.DataFrame, judged: pd.DataFrame, fit: FitParameters) -> Scores | None:
    if VMAF_COLUMN not in train.columns or uninformative(train, [VMAF_COLUMN]):
        return None
    known = np.isfinite(judged[VMAF_COLUMN].to_numpy(dtype=float))
    vmaf, true = _vmaf_and_mos(judged[known])
    slope, intercept = np.polyfit(*_vmaf_and_mos(train[np.isfinite(train[VMAF_COLUMN])]), 1)
    return {**score(vmaf, true, fit), "rmse": rmse(slope * vmaf + intercept, true)}


def _columns_alone(train: pd.DataFrame, inputs: Sequence[str]) -> dict[str, float]:
    agreement = {column: _agreement(train, column) for column in inputs}
    best = sorted(agreement.items(), key=lambda item: -item[1])[:_SHOWN_ALONE]
    return {column: value for column, value in best if value > 0}


def _agreement(train: pd.DataFrame, column: str) -> float:
    """Return the larger of the absolute PLCC and SROCC of a column with MOS; 0 if undefined."""
    values, mos = (train[c].to_numpy(dtype=float) for c in (column, "mos"))
    known = np.isfinite(values)
    found = [abs(measure(values[known], mos[known])) for measure in (plcc, srocc)]
    return float(np.nanmax([0.0, *found]))


def _vmaf_and_mos(frame: pd.DataFrame) -> tuple[Floats, Floats]:
    return frame[VMAF_COLUMN].to_numpy(dtype=float), frame["mos"].to_numpy(dtype=float)
