"""Four kinds of regressor with one interface, each an ensemble over seeds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.svm import SVR
from threadpoolctl import threadpool_limits

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.table import LEAST_ROWS, single_precision, uninformative
from k150k_pipeline.mos.types import Floats
from k150k_pipeline.schemas.mos_parameters import CLAMP, ModelKind, MosHeadParameters

SEED_MATTERS: dict[ModelKind, bool] = {"ridge": False, "svr": True, "trees": True, "mlp": True}
"""Whether the seed changes a fit of this kind; an SVR's only beyond ``svr.max_rows`` rows."""


@dataclass(frozen=True)
class Preparation:
    """Rounding, imputation, clipping and scaling of the raw columns, fitted on training rows alone.

    Attributes:
        columns: Input columns in order.
        fill: Medians, which replace missing values, shape (columns,).
        mean: Means, which are subtracted, shape (columns,).
        scale: Standard deviations, which are divided by, shape (columns,).
        low: Lower ends of the trained range, shape (columns,); values below are raised to them.
        high: Upper ends, likewise.
    """

    columns: tuple[str, ...]
    fill: Floats
    mean: Floats
    scale: Floats
    low: Floats
    high: Floats

    def apply(self, frame: pd.DataFrame) -> Floats:
        """Return the prepared columns, shape (clips, columns)."""
        values = single_precision(raw_values(frame, self.columns))
        # In place: a copy for each step takes several times the memory of the table.
        np.copyto(values, self.fill, where=~np.isfinite(values))
        np.clip(values, self.low, self.high, out=values)
        values -= self.mean
        values /= self.scale
        return values


@dataclass(frozen=True)
class Head:
    """A fitted model: it takes raw columns and returns MOS from 1 to 5.

    Attributes:
        kind: Kind of regressor.
        preparation: Imputation and scaling of the columns.
        members: Regressors fitted to standardised MOS, one per seed.
        seeds: Their seeds.
        target_mean: Mean of the training rows' MOS.
        target_scale: Standard deviation of the training rows' MOS.
    """

    kind: ModelKind
    preparation: Preparation
    members: tuple[Any, ...]
    seeds: tuple[int, ...]
    target_mean: float
    target_scale: float

    def predict(self, frame: pd.DataFrame) -> Floats:
        """Return the ensemble's MOS, shape (clips,)."""
        return self.predict_all(frame)[1]

    def predict_all(self, frame: pd.DataFrame) -> tuple[Floats, Floats]:
        """Return each member's MOS, shape (seeds, clips), and the ensemble's, shape (clips,)."""
        prepared = self.preparation.apply(frame)
        # One thread: threads of trees that wait for a busy core cost 17 times the work itself.
        with threadpool_limits(1):
            raw = np.stack([member.predict(prepared) for member in self.members])
        return self._to_mos(raw), self._to_mos(raw.mean(axis=0))

    def _to_mos(self, standardised: Floats) -> Floats:
        low, high = CLAMP
        return np.clip(self.target_mean + self.target_scale * standardised, low, high)


def raw_values(frame: pd.DataFrame, columns: Sequence[str]) -> Floats:
    """Return columns as numbers, shape (clips, columns)."""
    values: Floats = frame[list(columns)].to_numpy(dtype=float)
    return values


def fit_head(
    frame: pd.DataFrame,
    inputs: Sequence[str],
    kind: ModelKind,
    parameters: MosHeadParameters,
    seeds: Sequence[int],
    on_member: Callable[[int], None] = lambda _seed: None,
) -> Head:
    """Fit an ensemble.

    Args:
        frame: Training rows; imputation, scaling and MOS statistics come from these alone.
        inputs: Candidate input columns; those that do not vary here are left out.
        kind: Kind of regressor.
        parameters: Block ``mos_head``.
        seeds: Seeds of the members.
        on_member: Called with the seed of each member that is fitted.

    Raises:
        InputError: No column varies, there are fewer than three rows, or the weights of a
            perceptron become infinite.
    """
    dropped = uninformative(frame, inputs)
    columns = tuple(c for c in inputs if c not in dropped)
    if not columns or len(frame) < LEAST_ROWS:
        raise InputError(
            f"{len(frame)} training rows with {len(columns)} columns that vary are too few to fit "
            f"a model, which takes at least {LEAST_ROWS} rows and 1 column: add clips"
        )
    preparation = _prepare(frame, columns)
    mos = frame["mos"].to_numpy(dtype=float)
    mean, scale = float(mos.mean()), float(mos.std()) or 1.0
    prepared, target = preparation.apply(frame), (mos - mean) / scale
    # One thread: sums have the same order on every machine, and processes do not share cores.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # mlp.epochs ends it on purpose
        warnings.filterwarnings("ignore", "Got `batch_size`")  # it is larger than the rows: fine
        members = []
        for seed in seeds:
            members.append(_fit(kind, parameters, seed, prepared, target))
            on_member(seed)
    return Head(kind, preparation, tuple(members), tuple(seeds), mean, scale)


def make_regressor(kind: ModelKind, parameters: MosHeadParameters, seed: int) -> Any:
    """Return an unfitted scikit-learn regressor."""
    if kind == "ridge":
        return Ridge(alpha=parameters.ridge.alpha)
    if kind == "svr":
        svr = parameters.svr
        return SVR(C=svr.c, gamma=svr.gamma, epsilon=svr.epsilon, cache_size=1000)
    if kind == "trees":
        trees = parameters.trees
        return HistGradientBoostingRegressor(
            max_iter=trees.iterations,
            learning_rate=trees.learning_rate,
            max_leaf_nodes=trees.leaves,
            min_samples_leaf=trees.min_leaf,
            max_features=trees.column_share,
            early_stopping=False,
            random_state=seed,
        )
    mlp = parameters.mlp
    return MLPRegressor(
        hidden_layer_sizes=mlp.hidden,
        alpha=mlp.alpha,
        learning_rate_init=mlp.learning_rate,
        max_iter=mlp.epochs,
        batch_size=mlp.batch,
        random_state=seed,
    )


def _fit(
    kind: ModelKind, parameters: MosHeadParameters, seed: int, prepared: Floats, target: Floats
) -> Any:
    rows = np.arange(len(prepared))
    if kind == "svr" and len(rows) > parameters.svr.max_rows:
        random = np.random.default_rng(seed)
        rows = np.sort(random.choice(rows, parameters.svr.max_rows, replace=False))
    regressor = make_regressor(kind, parameters, seed)
    try:
        return regressor.fit(prepared[rows], target[rows])
    except ValueError as error:
        if "non-finite" not in str(error):
            raise
        raise InputError(
            f"training {kind} with seed {seed} did not settle: its weights became infinite. Lower "
            f"mos_head.{kind}.learning_rate"
        ) from error


def _prepare(frame: pd.DataFrame, columns: tuple[str, ...]) -> Preparation:
    filled = single_precision(raw_values(frame, columns))
    filled[~np.isfinite(filled)] = np.nan
    fill = np.array([np.nanmedian(column) for column in filled.T])
    np.copyto(filled, fill, where=np.isnan(filled))
    scale = filled.std(axis=0)
    return Preparation(
        columns, fill, filled.mean(axis=0), np.where(scale > 0, scale, 1.0), *_trained_range(filled)
    )


def _trained_range(filled: Floats) -> tuple[Floats, Floats]:
    """Return the ends of each column, rounded outwards to three digits of the range.

    A model file with the exact smallest and largest value would contain values of single clips.
    """
    low, high = filled.min(axis=0), filled.max(axis=0)
    step = 10.0 ** (np.floor(np.log10(high - low)) - 2)
    return np.minimum(low, np.floor(low / step) * step), np.maximum(
        high, np.ceil(high / step) * step
    )
