"""The published protocol of blind VQA: an RBF-SVR with grid search on repeated 80/20 splits.

The published scripts differ in details, and each detail is a parameter: seeds, imputation,
scaling and the rows it is fitted on, grid, inner validation and its criterion, the logistic fit,
clipping.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, ParameterSampler, train_test_split
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVR
from threadpoolctl import threadpool_limits

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.metrics import after_fit, krocc, plcc, rmse, srocc
from k150k_pipeline.mos.types import Floats, Integers
from k150k_pipeline.schemas.mos_parameters import FitParameters, GridParameters, ProtocolParameters

MEASURES = ("srocc", "krocc", "plcc", "rmse")
_STRATEGIES = {"zero": "constant", "mean": "mean", "median": "median"}

Groups = npt.NDArray[Any] | None
"""Group of each row, shape (clips,), where a group must not be on both sides; else None."""


def run_protocol(
    table: pd.DataFrame, parameters: ProtocolParameters, shard: int = 0, shards: int = 1
) -> pd.DataFrame:
    """Evaluate the features of a table on the splits of one shard; by default on all splits.

    Args:
        table: One row per clip; the splits of a seed depend on the order of the rows.
        parameters: Block ``protocol``.
        shard: Number of this shard.
        shards: Number of shards, to which the splits are dealt in turn.

    Returns:
        One row per split: number, seed, chosen ``c`` and ``gamma``, and per part (``test``,
        ``train``) SROCC and KROCC of the predictions, PLCC and RMSE after the logistic fit.

    Raises:
        InputError: A column is missing, or a label is not a number.
    """
    x, y, groups = _read(table, parameters)
    if parameters.imputation.fit == "all":
        x = _imputer(parameters).fit(x).transform(x)
    seeds = _seeds(parameters)[shard::shards]
    with threadpool_limits(1):
        rows = [_evaluate(x, y, groups, number, seed, parameters) for number, seed in seeds]
    return pd.DataFrame(rows)


def summarise(splits: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return median, mean and standard deviation (ddof 0) over the splits, by measure."""
    columns = [f"{part}_{measure}" for part in ("test", "train") for measure in MEASURES]
    return {
        column: {
            "median": float(splits[column].median()),
            "mean": float(splits[column].mean()),
            "std": float(splits[column].std(ddof=0)),
        }
        for column in columns
    }


def describe(splits: pd.DataFrame) -> str:
    """Return every split and the medians as text, for the log."""
    shown = ["split", "seed", "c", "gamma", *(f"test_{m}" for m in MEASURES)]
    rows = splits[shown].to_string(index=False, float_format=lambda value: f"{value:.4f}")
    summary = summarise(splits)
    medians = ", ".join(f"{m.upper()} {summary[f'test_{m}']['median']:.4f}" for m in MEASURES)
    return f"{rows}\nmedian over {len(splits)} splits: {medians}"


def _read(table: pd.DataFrame, parameters: ProtocolParameters) -> tuple[Floats, Floats, Groups]:
    """Return features, shape (clips, columns), MOS, shape (clips,), and groups."""
    wanted = [parameters.mos_column, *(parameters.columns or ())]
    if parameters.group_column is not None:
        wanted.append(parameters.group_column)
    absent = [column for column in wanted if column not in table.columns]
    if absent:
        raise InputError(
            f"the table of the protocol has no column {', '.join(absent)}; its first are "
            f"{', '.join(map(str, table.columns[:8]))}. Change protocol.mos_column, columns or "
            "group_column"
        )
    y = pd.to_numeric(table[parameters.mos_column], errors="coerce").to_numpy(dtype=float)
    if bad := int((~np.isfinite(y)).sum()):
        raise InputError(
            f"column {parameters.mos_column!r} of the protocol's table has {bad} values that are "
            "not numbers: correct them, or name another column in protocol.mos_column"
        )
    columns = parameters.columns or _feature_columns(table, parameters)
    x = table[list(columns)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    groups = None if parameters.group_column is None else table[parameters.group_column].to_numpy()
    return np.where(np.isfinite(x), x, np.nan), y, groups


def _feature_columns(table: pd.DataFrame, parameters: ProtocolParameters) -> Sequence[str]:
    left_out = {parameters.mos_column, parameters.group_column, *parameters.exclude}
    columns = [str(c) for c in table.columns if c not in left_out and _is_numeric(table[c])]
    if not columns:
        raise InputError(
            "the table of the protocol has no column of numbers besides the MOS: give another "
            "table, or shorten protocol.exclude"
        )
    return columns


def _is_numeric(column: pd.Series[Any]) -> bool:
    """Whether a column holds numbers, perhaps as text; empty cells are passed over."""
    if pd.api.types.is_numeric_dtype(column):
        return True
    filled = column[column.notna() & (column != "")]
    return bool(len(filled)) and bool(pd.to_numeric(filled, errors="coerce").notna().all())


def _seeds(parameters: ProtocolParameters) -> list[tuple[int, int]]:
    """Return the number and the seed of every split."""
    first = parameters.first_split
    if parameters.seeds is not None:
        return list(enumerate(parameters.seeds, start=first))
    numbers = range(first, first + parameters.splits)
    return [(n, math.ceil(parameters.seed_factor * n)) for n in numbers]


def _evaluate(
    x: Floats,
    y: Floats,
    groups: Groups,
    number: int,
    seed: int,
    parameters: ProtocolParameters,
) -> dict[str, float]:
    train, test = _divide(len(y), groups, parameters.test_share, seed)
    if parameters.imputation.fit == "train":
        x = _imputer(parameters).fit(x[train]).transform(x)
    inner_groups = None if groups is None else groups[train]
    c, gamma = _search(x[train], y[train], inner_groups, number, parameters)
    scaler = _scaler(parameters).fit(x[train])
    model = _svr(c, gamma, parameters).fit(scaler.transform(x[train]), y[train])
    scores = {"split": number, "seed": seed, "c": c, "gamma": gamma}
    for part, rows in (("test", test), ("train", train)):
        predicted = model.predict(scaler.transform(x[rows]))
        if parameters.clip is not None:
            predicted = np.clip(predicted, *parameters.clip)
        measured = _measure(predicted, y[rows], parameters.fit)
        scores |= {f"{part}_{name}": value for name, value in measured.items()}
    return scores


def _divide(rows: int, groups: Groups, share: float, seed: int) -> tuple[Integers, Integers]:
    if groups is None:
        train, test = train_test_split(np.arange(rows), test_size=share, random_state=seed)
        return train, test
    train, test = train_test_split(np.unique(groups), test_size=share, random_state=seed)
    return np.flatnonzero(np.isin(groups, train)), np.flatnonzero(np.isin(groups, test))


def _search(
    x: Floats,
    y: Floats,
    groups: Groups,
    number: int,
    parameters: ProtocolParameters,
) -> tuple[float, float]:
    """Return C and gamma with the smallest mean loss; of several, the first."""
    if parameters.chosen is not None:
        return parameters.chosen[number - parameters.first_split]
    parts = []
    for train, validate in _inner_parts(len(y), groups, number, parameters):
        fitted_on = train if parameters.scaling.inner_fit == "inner_train" else np.arange(len(y))
        scaler = _scaler(parameters).fit(x[fitted_on])
        scaled = scaler.transform(x)
        parts.append((scaled[train], y[train], scaled[validate], y[validate]))
    candidates = _candidates(parameters.grid)
    losses = [np.mean([_loss(c, g, part, parameters) for part in parts]) for c, g in candidates]
    return candidates[int(np.argmin(losses))]


def _candidates(grid: GridParameters) -> list[tuple[float, float]]:
    c, gamma = _powers(grid.c_log2), _powers(grid.gamma_log2)
    if grid.draw is None:
        return list(product(c, gamma))
    drawn = ParameterSampler({"C": c, "gamma": gamma}, grid.draw, random_state=grid.draw_seed)
    return [(candidate["C"], candidate["gamma"]) for candidate in drawn]


def _inner_parts(
    rows: int, groups: Groups, number: int, parameters: ProtocolParameters
) -> list[tuple[Integers, Integers]]:
    inner = parameters.inner
    if inner.kind == "holdout":
        seed = math.ceil(inner.seed_factor * number)
        return [_divide(rows, groups, inner.validation_share, seed)]
    units = np.arange(rows) if groups is None else np.unique(groups)
    of_row = units if groups is None else groups
    return [
        (
            np.flatnonzero(np.isin(of_row, units[train])),
            np.flatnonzero(np.isin(of_row, units[test])),
        )
        for train, test in KFold(inner.folds).split(units)
    ]


def _loss(
    c: float,
    gamma: float,
    part: tuple[Floats, Floats, Floats, Floats],
    parameters: ProtocolParameters,
) -> float:
    x_train, y_train, x_validate, y_validate = part
    predicted = _svr(c, gamma, parameters).fit(x_train, y_train).predict(x_validate)
    criterion = parameters.inner.criterion
    if criterion == "rmse":
        return rmse(predicted, y_validate)
    if criterion == "r2":
        return -float(r2_score(y_validate, predicted))
    if criterion == "srocc":
        loss = -srocc(predicted, y_validate)
    else:
        loss = _measure(predicted, y_validate, parameters.fit)["rmse"]
    return float("inf") if math.isnan(loss) else loss


def _measure(predicted: Floats, true: Floats, fit: FitParameters) -> dict[str, float]:
    mapped = after_fit(predicted, true, fit)
    return {
        "srocc": srocc(predicted, true),
        "krocc": krocc(predicted, true),
        "plcc": plcc(mapped, true),
        "rmse": rmse(mapped, true),
    }


def _imputer(parameters: ProtocolParameters) -> SimpleImputer:
    strategy = _STRATEGIES[parameters.imputation.fill]
    return SimpleImputer(strategy=strategy, fill_value=0.0, keep_empty_features=True)


def _scaler(parameters: ProtocolParameters) -> MinMaxScaler:
    return MinMaxScaler((parameters.scaling.low, parameters.scaling.high))


def _svr(c: float, gamma: float, parameters: ProtocolParameters) -> SVR:
    grid = parameters.grid
    return SVR(kernel="rbf", C=c, gamma=gamma, epsilon=grid.epsilon, tol=grid.tolerance)


def _powers(range_: tuple[float, float, int]) -> list[float]:
    first, last, number = range_
    return [float(value) for value in np.logspace(first, last, number, base=2)]
