"""How well predictions agree with opinions: PLCC, SROCC, KROCC, RMSE and the logistic fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import optimize, stats

from k150k_pipeline.mos.types import Floats, Integers, Metric, Scores
from k150k_pipeline.schemas.mos_parameters import FitParameters

METRICS: tuple[Metric, ...] = (
    "plcc", "plcc_logistic", "srocc", "krocc", "rmse", "rmse_logistic",
)  # fmt: skip
_MIN_PAIRS = 3


def plcc(predicted: Floats, true: Floats) -> float:
    """Return Pearson's correlation; NaN when either side does not vary."""
    return _correlate(stats.pearsonr, predicted, true)


def srocc(predicted: Floats, true: Floats) -> float:
    """Return Spearman's rank correlation, ties at their mean rank; NaN without variation."""
    return _correlate(stats.spearmanr, predicted, true)


def krocc(predicted: Floats, true: Floats) -> float:
    """Return Kendall's tau-b; NaN without variation."""
    return _correlate(stats.kendalltau, predicted, true)


def rmse(predicted: Floats, true: Floats) -> float:
    """Return the root of the mean squared error."""
    return float(np.sqrt(np.mean((predicted - true) ** 2)))


def logistic(x: Floats, b1: float, b2: float, b3: float, b4: float) -> Floats:
    """Return ``b2 + (b1 - b2) / (1 + exp(-(x - b3) / |b4|))``, VQEG's logistic curve.

    The operations are in the order of the published formula: the fit's result depends on the
    last digit.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        mapped: Floats = b2 + (b1 - b2) / (1 + np.exp(-((x - b3) / np.abs(b4))))
    return mapped


def fit_logistic(predicted: Floats, true: Floats, fit: FitParameters) -> Floats | None:
    """Fit the four parameters by least squares; None when no fit is found.

    The search starts at the largest MOS, the smallest, the mean prediction and ``fit.slope``.
    """
    start = [true.max(), true.min(), predicted.mean(), fit.slope]
    if len(true) < len(start):
        return None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", optimize.OptimizeWarning)
        try:
            found, _ = optimize.curve_fit(
                logistic, predicted, true, p0=start, maxfev=fit.max_evaluations
            )
        except (RuntimeError, ValueError):
            return None
    return found if np.isfinite(found).all() else None


def after_fit(predicted: Floats, true: Floats, fit: FitParameters) -> Floats:
    """Return the predictions on the scale of MOS, by the fitted curve; NaN without a curve."""
    fitted = fit_logistic(predicted, true, fit)
    return np.full(len(true), np.nan) if fitted is None else logistic(predicted, *fitted)


def score(predicted: Floats, true: Floats, fit: FitParameters) -> Scores:
    """Return every metric of predictions against opinions.

    Args:
        predicted: Predictions, shape (clips,).
        true: MOS, shape (clips,).
        fit: Parameters of the logistic fit, after which PLCC and RMSE are measured once more.
    """
    mapped = after_fit(predicted, true, fit)
    return {
        "plcc": plcc(predicted, true),
        "plcc_logistic": plcc(mapped, true),
        "srocc": srocc(predicted, true),
        "krocc": krocc(predicted, true),
        "rmse": rmse(predicted, true),
        "rmse_logistic": rmse(mapped, true),
    }


def bootstrap(
    predicted: Floats, true: Floats, groups: Sequence[str], *, draws: int, seed: int
) -> dict[str, list[float]]:
    """Return 95 % intervals by resampling contents, as clips of one content are not independent.

    Args:
        predicted: Predictions, shape (clips,).
        true: MOS, shape (clips,).
        groups: Content of each clip.
        draws: Number of resamples.
        seed: Seed of the resampling.

    Returns:
        Lower and upper end per metric, without the two after the logistic fit; NaN where a metric
        is undefined.
    """
    random = np.random.default_rng(seed)
    order, starts, sizes = _members(groups)
    metrics: Mapping[str, Callable[[Floats, Floats], float]] = {
        "plcc": _pearson, "srocc": _spearman, "krocc": krocc, "rmse": rmse,
    }  # fmt: skip
    drawn: dict[str, list[float]] = {name: [] for name in metrics}
    for _ in range(draws):
        chosen = random.integers(len(starts), size=len(starts))
        rows = order[_ranges(starts[chosen], sizes[chosen])]
        for name, metric in metrics.items():
            drawn[name].append(metric(predicted[rows], true[rows]))
    return {name: _interval(values) for name, values in drawn.items()}


def _members(groups: Sequence[str]) -> tuple[Integers, Integers, Integers]:
    """Return the row numbers ordered by group, and each group's start and size in that order."""
    _, codes, sizes = np.unique(
        np.asarray(groups, dtype=str), return_inverse=True, return_counts=True
    )
    return np.argsort(codes, kind="stable"), np.cumsum(sizes) - sizes, sizes


def _ranges(starts: Integers, sizes: Integers) -> Integers:
    """Return the numbers ``start, start + 1, …`` of all ranges in one array."""
    before = np.cumsum(sizes) - sizes
    ranges: Integers = np.arange(sizes.sum()) + np.repeat(starts - before, sizes)
    return ranges


def _pearson(x: Floats, y: Floats) -> float:
    """Return Pearson's correlation without a p-value, which a bootstrap would wait for."""
    dx, dy = x - x.mean(), y - y.mean()
    # Sums, not dot products: those start all threads of BLAS for one vector.
    scale = np.sqrt((dx * dx).sum() * (dy * dy).sum())
    return float((dx * dy).sum() / scale) if scale else float("nan")


def _spearman(x: Floats, y: Floats) -> float:
    return _pearson(stats.rankdata(x), stats.rankdata(y))


def _interval(values: list[float]) -> list[float]:
    known = np.asarray(values)[np.isfinite(values)]
    if not len(known):
        return [float("nan"), float("nan")]
    return [float(end) for end in np.percentile(known, [2.5, 97.5])]


def _correlate(
    correlation: Callable[[Floats, Floats], tuple[float, float]], predicted: Floats, true: Floats
) -> float:
    if len(true) < _MIN_PAIRS or not (np.isfinite(predicted).all() and np.isfinite(true).all()):
        return float("nan")
    if np.ptp(predicted) == 0 or np.ptp(true) == 0:
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.NearConstantInputWarning)
        return float(correlation(predicted, true)[0])
