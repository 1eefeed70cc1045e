"""Scores of a model: by fold, by seed, on the held-out part, and beside what costs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.metrics import METRICS, bootstrap, rmse, score
from k150k_pipeline.mos.models import Head, fit_head
from k150k_pipeline.mos.splits import Fold, Splits
from k150k_pipeline.mos.table import METADATA_COLUMNS, VMAF_COLUMN, uninformative
from k150k_pipeline.mos.types import Floats, Scores
from k150k_pipeline.schemas.mos_parameters import FitParameters, ModelKind, MosHeadParameters

_BASELINE_KINDS: tuple[ModelKind, ...] = ("ridge", "trees")


def cross_validate(
    frame: pd.DataFrame,
    inputs: Sequence[str],
    splits: Splits,
    kind: ModelKind,
    parameters: MosHeadParameters,
) -> dict[str, Any]:
    """Fit and score a kind of model on every fold.

    Returns:
        ``scores``: one record per fold and seed, and one per fold for the ensemble, with its 95 %
        intervals;
        ``mean``: the ensembles' mean over the folds; ``fold_spread``: of their PLCC, largest
        less smallest.
    """
    scores = [
        record
        for fold in splits.folds
        for record in _score_fold(frame, inputs, fold, splits.contents, kind, parameters)
    ]
    ensembles = [record for record in scores if record["seed"] == "ensemble"]
    values = [float(record["plcc"]) for record in ensembles]
    return {
        "kind": kind,
        "scores": scores,
        "mean": {m: float(np.mean([record[m] for record in ensembles])) for m in METRICS},
        "fold_spread": float(np.ptp(values)),
    }


def choose(
    results: Mapping[ModelKind, Mapping[str, Any]], parameters: MosHeadParameters
) -> ModelKind:
    """Return the kind to export: the one asked for, else the best PLCC over the folds.

    The held-out part has no say, and kinds whose file would carry training rows do not compete.
    """
    if parameters.export is not None:
        return parameters.export

    def rank(kind: ModelKind) -> tuple[float, float]:
        plcc, srocc = (results[kind]["mean"][m] for m in ("plcc", "srocc"))
        return np.nan_to_num(plcc, nan=-np.inf), np.nan_to_num(srocc, nan=-np.inf)

    return max(parameters.shareable, key=rank)


def judge(
    head: Head,
    frame: pd.DataFrame,
    contents: npt.NDArray[np.str_],
    parameters: MosHeadParameters,
) -> dict[str, Any]:
    """Score a model on rows that it has not seen.

    Returns:
        ``per_seed`` and ``ensemble`` scores with 95 % intervals, ``mean`` over the seeds, and
        ``seed_spread`` (largest less smallest PLCC over the seeds).
    """
    true = frame["mos"].to_numpy(dtype=float)
    members, together = head.predict_all(frame)
    each = [
        {"seed": seed, **_with_intervals(predicted, true, contents, parameters)}
        for seed, predicted in zip(head.seeds, members, strict=True)
    ]
    values = [scores["plcc"] for scores in each]
    return {
        "clips": len(frame),
        "contents": len(set(contents)),
        "per_seed": each,
        "mean": {m: float(np.mean([scores[m] for scores in each])) for m in METRICS},
        "seed_spread": float(np.ptp(values)),
        "ensemble": _with_intervals(together, true, contents, parameters),
    }


def baselines(
    train: pd.DataFrame, judged: pd.DataFrame, parameters: MosHeadParameters
) -> dict[str, Any]:
    """Score what a reader should compare a model with.

    Returns:
        ``mean_predictor_rmse``: RMSE of always predicting the training mean; ``metadata_only``:
        scores per kind of a model on size, bitrate and fps; ``vmaf_only``: how the VMAF column
        alone agrees with MOS. None where the columns tell nothing.
    """
    true = judged["mos"].to_numpy(dtype=float)
    mean = float(train["mos"].mean())
    return {
        "mean_predictor_rmse": rmse(np.full(len(true), mean), true),
        "metadata_only": _metadata_only(train, judged, parameters),
        "vmaf_only": _vmaf_only(train, judged, parameters.fit),
    }


def importance(head: Head, frame: pd.DataFrame, parameters: MosHeadParameters) -> dict[str, float]:
    """Return by how much RMSE rises when a column is shuffled among the judged rows."""
    rows = frame.sample(min(len(frame), parameters.importance_rows), random_state=0)
    true = rows["mos"].to_numpy(dtype=float)
    whole = rmse(head.predict(rows), true)
    random = np.random.default_rng(0)
    rises = {}
    for column in head.preparation.columns:
        errors = [
            rmse(head.predict(rows.assign(**{column: random.permutation(rows[column])})), true)
            for _ in range(parameters.importance_repeats)
        ]
        rises[column] = float(np.mean(errors)) - whole
    return dict(sorted(rises.items(), key=lambda item: -item[1]))


def _score_fold(
    frame: pd.DataFrame,
    inputs: Sequence[str],
    fold: Fold,
    contents: npt.NDArray[np.str_],
    kind: ModelKind,
    parameters: MosHeadParameters,
) -> list[dict[str, Any]]:
    head = fit_head(frame.iloc[fold.train], inputs, kind, parameters, parameters.seeds)
    rows = frame.iloc[fold.validate]
    true = rows["mos"].to_numpy(dtype=float)
    members, together = head.predict_all(rows)
    records: list[dict[str, Any]] = [
        {"fold": fold.name, "seed": seed, **score(predicted, true, parameters.fit)}
        for seed, predicted in zip(head.seeds, members, strict=True)
    ]
    ensemble = _with_intervals(together, true, contents[fold.validate], parameters)
    return [*records, {"fold": fold.name, "seed": "ensemble", **ensemble}]


def _with_intervals(
    predicted: Floats, true: Floats, contents: npt.NDArray[np.str_], parameters: MosHeadParameters
) -> dict[str, Any]:
    draws = parameters.bootstrap_draws
    return {
        **score(predicted, true, parameters.fit),
        "intervals": bootstrap(predicted, true, list(contents), draws=draws, seed=0),
    }


def _metadata_only(
    train: pd.DataFrame, judged: pd.DataFrame, parameters: MosHeadParameters
) -> dict[str, Scores] | None:
    columns = [c for c in METADATA_COLUMNS if c in train.columns]
    true = judged["mos"].to_numpy(dtype=float)
    found = {}
    for kind in _BASELINE_KINDS:
        try:
            head = fit_head(train, columns, kind, parameters, parameters.seeds[:1])
        except InputError:
            return None
        found[str(kind)] = score(head.predict(judged), true, parameters.fit)
    return found


def _vmaf_only(train: pd.DataFrame, judged: pd.DataFrame, fit: FitParameters) -> Scores | None:
    if VMAF_COLUMN not in train.columns or uninformative(train, [VMAF_COLUMN]):
        return None
    known = np.isfinite(judged[VMAF_COLUMN].to_numpy(dtype=float))
    vmaf, true = _pair(judged[known])
    slope, intercept = np.polyfit(*_pair(train[np.isfinite(train[VMAF_COLUMN])]), 1)
    return {**score(vmaf, true, fit), "rmse": rmse(slope * vmaf + intercept, true)}


def _pair(frame: pd.DataFrame) -> tuple[Floats, Floats]:
    return frame[VMAF_COLUMN].to_numpy(dtype=float), frame["mos"].to_numpy(dtype=float)
