"""How well predictions agree with opinions: PLCC, SROCC, KROCC, RMSE and the logistic fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy import optimize, stats

from k150k_pipeline.mos.types import Floats, Metric, Scores
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
