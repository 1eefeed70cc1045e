"""The published protocol of blind VQA: an RBF-SVR with grid search on repeated 80/20 splits.

The published scripts differ in details, and each detail is a parameter: seeds, imputation,
scaling and the rows it is fitted on, grid, inner validation and its criterion, the logistic fit,
clipping.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
from k150k_pipeline.mos.finished import NOTHING_KEPT, Finished
from k150k_pipeline.mos.metrics import after_fit, krocc, plcc, rmse, srocc
from k150k_pipeline.mos.origins import digest_of_arrays, digest_of_table, surroundings
from k150k_pipeline.mos.table import few
from k150k_pipeline.mos.types import Floats, Integers
from k150k_pipeline.mos.words import in_digits
from k150k_pipeline.schemas.mos_parameters import FitParameters, GridParameters, ProtocolParameters

MEASURES = ("srocc", "krocc", "plcc", "rmse")
_OF_OTHER_SPLITS = {
    "splits", "first_split", "seeds", "seed_factor", "chosen",
    "mos_column", "columns", "exclude", "group_column", "tables",
}  # fmt: skip
"""Parameters that change which splits there are, or what is read, but not the row of a split."""
_CHOSEN = ("c", "gamma")
_NO_CURVE = "the logistic fit found no curve"
_STRATEGIES = {"zero": "constant", "mean": "mean", "median": "median"}

Row = dict[str, Any]
"""One split: its table, if it has a name, number, seed, C, gamma and scores."""

Groups = npt.NDArray[Any] | None
"""Group of each row, shape (clips,), where a group must not be on both sides; else None."""


def evaluate(
    tables: Mapping[str, pd.DataFrame],
    parameters: ProtocolParameters,
    shard: int = 0,
    shards: int = 1,
    finished: Finished = NOTHING_KEPT,
) -> Iterator[Row]:
    """Evaluate the features of tables on the splits of one shard; by default on all splits.

    Args:
        tables: Tables by name, each with one row per clip; the splits of a seed depend on the order
            of the rows. An empty name is left out of the rows that are yielded.
        parameters: Block ``protocol``.
        shard: Number of this shard.
        shards: Number of shards, to which the splits of all tables are dealt in turn.
        finished: Splits of earlier runs, which are not evaluated again; those of this run are
            added.

    Yields:
        One row per split, when it has ended: table, number, seed, chosen ``c`` and ``gamma``, and
        per part (``test``, ``train``) SROCC and KROCC of the predictions, PLCC and RMSE after the
        logistic fit.

    Raises:
        InputError: A column is missing or named twice, a label is not a number, or there are too
            few rows to split. All tables are checked before the first split.
    """
    read = {name: _read(name, table, parameters) for name, table in tables.items()}
    due = [(name, *split) for name in read for split in _seeds(parameters)]
    finished.count({"due": len(due), "unit": "splits", "even": True})
    share = due[shard::shards]
    origins = {name: _origin(*read[name], parameters) for name in {name for name, *_ in share}}
    for name, number, seed in share:
        given = {"split": number, "seed": seed, "chosen": _given(number, parameters)}
        made_from = {**origins[name], **given}
        scores: Row | None = finished.look_up(f"split {number}", made_from)
        if scores is None:
            with threadpool_limits(1):
                scores = _evaluate(*read[name], number, seed, parameters)
            finished.keep(f"split {number}", made_from, scores, "splits")
            finished.count({"done": 1, "note": f"split {number}"})
        else:
            finished.count({"skipped": 1})
        yield {"table": name, **scores} if name else scores


def run_protocol(
    table: pd.DataFrame,
    parameters: ProtocolParameters,
    shard: int = 0,
    shards: int = 1,
    finished: Finished = NOTHING_KEPT,
) -> pd.DataFrame:
    """Return the rows that :func:`evaluate` yields for one table."""
    return pd.DataFrame(list(evaluate({"": table}, parameters, shard, shards, finished)))


def summarise(splits: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return median, mean and standard deviation (ddof 0) over the splits, by measure.

    ``splits`` is the number of those in which the measure is defined; the others do not count.
    """
    columns = [f"{part}_{measure}" for part in ("test", "train") for measure in MEASURES]
    return {
        column: {
            "median": float(splits[column].median()),
            "mean": float(splits[column].mean()),
            "std": float(splits[column].std(ddof=0)),
            "splits": int(splits[column].notna().sum()),
        }
        for column in columns
    }


def describe_split(row: Row) -> str:
    """Return the row of a split as a line of text."""
    name = f"{row['table']}, " if "table" in row else ""
    c, gamma = (np.format_float_positional(row[k], 4, fractional=False, trim="-") for k in _CHOSEN)
    measured = ", ".join(f"{m.upper()} {in_digits(row[f'test_{m}'])}" for m in MEASURES)
    note = ""
    if math.isnan(row["test_rmse"]):
        note = f"; {_NO_CURVE}"
    elif math.isnan(row["test_plcc"]):
        note = "; the predictions or the labels do not vary"
    return f"{name}split {row['split']}, seed {row['seed']}: C {c}, gamma {gamma}; {measured}{note}"


def describe(splits: pd.DataFrame, name: str = "") -> str:
    """Return the medians and SDs over the splits of one table as a line of text."""
    summary = summarise(splits)
    test = {measure: summary[f"test_{measure}"] for measure in MEASURES}
    medians = ", ".join(
        f"{m.upper()} {in_digits(of['median'])} (SD {in_digits(of['std'])})"
        for m, of in test.items()
    )
    defined = int(test["rmse"]["splits"])
    start = f"{name}: " if name else ""
    failed = _failed_fits(len(splits) - defined, defined)
    return f"{start}median over {len(splits):,} splits: {medians}{failed}"


def _failed_fits(failed: int, defined: int) -> str:
    if not failed:
        return ""
    rest = f"of the other {defined:,}" if defined else "undefined"
    return f"; {_NO_CURVE} in {failed:,} splits, so PLCC and RMSE are {rest}"


def _read(
    name: str, table: pd.DataFrame, parameters: ProtocolParameters
) -> tuple[Floats, Floats, Groups]:
    """Return features, shape (clips, columns), MOS, shape (clips,), and groups."""
    what = f"the table {name!r} of the protocol" if name else "the table of the protocol"
    _check_columns(what, table, parameters)
    y = pd.to_numeric(table[parameters.mos_column], errors="coerce").to_numpy(dtype=float)
    if bad := int((~np.isfinite(y)).sum()):
        raise InputError(
            f"column {parameters.mos_column!r} of {what} has {bad:,} values that are not numbers: "
            "correct them, or name another column in protocol.mos_column"
        )
    columns = parameters.columns or _feature_columns(what, table, parameters)
    x = table[list(columns)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    x = np.where(np.isfinite(x), x, np.nan)
    groups = None if parameters.group_column is None else table[parameters.group_column].to_numpy()
    _check_size(what, len(y) if groups is None else len(np.unique(groups)), parameters)
    if parameters.imputation.fit == "all":
        x = _imputer(parameters).fit(x).transform(x)
    return x, y, groups


def _check_columns(what: str, table: pd.DataFrame, parameters: ProtocolParameters) -> None:
    wanted = [parameters.mos_column, *(parameters.columns or ())]
    if parameters.group_column is not None:
        wanted.append(parameters.group_column)
    absent = [column for column in wanted if column not in table.columns]
    if absent:
        raise InputError(
            f"{what} has no column {', '.join(absent)}; its first are "
            f"{', '.join(map(str, table.columns[:8]))}. Change protocol.mos_column, columns or "
            "group_column"
        )
    if twice := table.columns[table.columns.duplicated()].unique().tolist():
        raise InputError(f"{what} has several columns {few(twice)}: name each column once")


def _check_size(what: str, units: int, parameters: ProtocolParameters) -> None:
    """Refuse a table of which a part of a split would be empty."""
    train = units - math.ceil(units * parameters.test_share)
    inner = parameters.inner
    least = inner.folds
    if inner.kind == "holdout":
        least = math.floor(1 / (1 - inner.validation_share)) + 1
    if train < least:
        kind = "rows" if parameters.group_column is None else "groups"
        raise InputError(
            f"{what} has too few {kind} to split ({units:,}): {train:,} are left to train on, "
            f"fewer than {least:,}. Give more, or change protocol.test_share or inner"
        )


def _feature_columns(
    what: str, table: pd.DataFrame, parameters: ProtocolParameters
) -> Sequence[str]:
    left_out = {parameters.mos_column, parameters.group_column, *parameters.exclude}
    columns = [str(c) for c in table.columns if c not in left_out and _is_numeric(table[c])]
    if not columns:
        raise InputError(
            f"{what} has no column of numbers besides the MOS: give another table, or shorten "
            "protocol.exclude"
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


def _origin(x: Floats, y: Floats, groups: Groups, parameters: ProtocolParameters) -> dict[str, Any]:
    """Return what the row of a split is made from, besides its number and seed."""
    of_rows = pd.DataFrame({"mos": y, "group": np.zeros(len(y)) if groups is None else groups})
    return {
        "features": digest_of_arrays([x]),
        "labels": digest_of_table(of_rows),
        "settings": parameters.model_dump(mode="json", exclude=_OF_OTHER_SPLITS),
        **surroundings([__name__, "k150k_pipeline.mos.metrics"]),
    }


def _evaluate(
    x: Floats,
    y: Floats,
    groups: Groups,
    number: int,
    seed: int,
    parameters: ProtocolParameters,
) -> Row:
    train, test = _divide(len(y), groups, parameters.test_share, seed)
    if parameters.imputation.fit == "train":
        x = _imputer(parameters).fit(x[train]).transform(x)
    inner_groups = None if groups is None else groups[train]
    c, gamma = _search(x[train], y[train], inner_groups, number, parameters)
    scaler = _scaler(parameters).fit(x[train])
    model = _svr(c, gamma, parameters).fit(scaler.transform(x[train]), y[train])
    scores: Row = {"split": number, "seed": seed, "c": c, "gamma": gamma}
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
    if (given := _given(number, parameters)) is not None:
        return given
    parts = []
    for train, validate in _inner_parts(len(y), groups, number, parameters):
        fitted_on = train if parameters.scaling.inner_fit == "inner_train" else np.arange(len(y))
        scaler = _scaler(parameters).fit(x[fitted_on])
        scaled = scaler.transform(x)
        parts.append((scaled[train], y[train], scaled[validate], y[validate]))
    candidates = _candidates(parameters.grid)
    losses = [np.mean([_loss(c, g, part, parameters) for part in parts]) for c, g in candidates]
    return candidates[int(np.argmin(losses))]


def _given(number: int, parameters: ProtocolParameters) -> tuple[float, float] | None:
    """Return the C and gamma that the parameters give a split; None if they are searched for."""
    if parameters.chosen is None:
        return None
    return parameters.chosen[number - parameters.first_split]


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
