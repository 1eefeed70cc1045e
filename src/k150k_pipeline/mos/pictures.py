"""Pictures of a judged model; each function returns a figure and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from k150k_pipeline.mos.metrics import fit_logistic, logistic
from k150k_pipeline.mos.types import CrossValidation, Floats
from k150k_pipeline.schemas.features import MOS_MAX, MOS_MIN
from k150k_pipeline.schemas.mos_parameters import FitParameters

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d9730d", "#8a8a8a"
_MOST_POINTS = 3000  # with more clips, points would hide each other
_SHOWN_COLUMNS = 20
_LATTICE = np.arange(MOS_MIN - 0.1, MOS_MAX + 0.2, 0.2)  # one row per mean of five votes
_BINS = 8


def predicted_against_true(
    predicted: Floats, true: Floats, fit: FitParameters, title: str
) -> Figure:
    """Return predictions against MOS with the fitted logistic curve.

    Args:
        predicted: Predictions, shape (clips,).
        true: MOS, shape (clips,).
        fit: Parameters of the fit.
        title: Title of the figure.
    """
    figure, axes = _figure(title, (6, 6))
    axes.plot([MOS_MIN, MOS_MAX], [MOS_MIN, MOS_MAX], color=_GREY, lw=1, ls=":", label="equal")
    if len(true) > _MOST_POINTS:
        steps = (np.linspace(MOS_MIN, MOS_MAX, 41), _LATTICE)
        cells = axes.hist2d(predicted, true, bins=steps, cmin=1, norm=LogNorm(), cmap="Blues")
        figure.colorbar(cells[3], ax=axes, label="clips", shrink=0.7)
    else:
        axes.scatter(predicted, true, s=12, alpha=0.5, color=_BLUE, lw=0, label="clip")
    curve = fit_logistic(predicted, true, fit)
    if curve is not None:
        x = np.linspace(predicted.min(), predicted.max(), 200)
        axes.plot(x, logistic(x, *curve), color=_ORANGE, lw=2, label="4-parameter logistic fit")
    axes.set(xlabel="predicted MOS", ylabel="MOS", xlim=(MOS_MIN, MOS_MAX), ylim=(MOS_MIN, MOS_MAX))
    axes.set_aspect("equal")
    axes.legend(loc="upper left", frameon=False)
    return figure


def residuals(predicted: Floats, true: Floats, title: str) -> Figure:
    """Return predicted less true MOS against the prediction: points, and mean ± SD of bins.

    Against the true MOS the residuals of every predictor slope, even of a perfect one.
    """
    figure, axes = _figure(title, (7, 4.5))
    errors = predicted - true
    axes.axhline(0, color=_GREY, lw=1, ls=":")
    axes.scatter(predicted, errors, s=8, alpha=min(0.4, 400 / len(true)), color=_BLUE, lw=0)
    edges = np.linspace(predicted.min(), predicted.max(), _BINS + 1)
    bins = np.clip(np.digitize(predicted, edges) - 1, 0, _BINS - 1)
    used = np.unique(bins)
    axes.errorbar(
        [(edges[b] + edges[b + 1]) / 2 for b in used],
        [errors[bins == b].mean() for b in used],
        yerr=[errors[bins == b].std() for b in used],
        color=_ORANGE,
        fmt="o-",
        capsize=3,
        label="mean ± SD of a bin",
    )
    axes.set(xlabel="predicted MOS", ylabel="predicted less true MOS")
    axes.legend(loc="upper right", frameon=False)
    return figure


def feature_importance(rises: Mapping[str, float], title: str) -> Figure:
    """Return the rise of RMSE when each column is shuffled, the largest on top."""
    shown = list(rises.items())[:_SHOWN_COLUMNS][::-1]
    figure, axes = _figure(title, (7, 1.2 + 0.3 * len(shown)))
    axes.barh([name for name, _ in shown], [rise for _, rise in shown], color=_BLUE)
    axes.axvline(0, color=_GREY, lw=1)
    axes.set(xlabel="rise of RMSE when the column is shuffled (MOS)")
    return figure


def fold_boxes(results: Sequence[CrossValidation], title: str) -> Figure:
    """Return a box plot of the folds' PLCC per kind of model, with every fold as a point."""
    figure, axes = _figure(title, (7, 4.5))
    labels = []
    for position, result in enumerate(results, start=1):
        plcc = np.array([s["plcc"] for s in result["scores"] if s["seed"] == "ensemble"])
        plcc = plcc[np.isfinite(plcc)]
        labels.append(result["kind"])
        if not len(plcc):
            axes.annotate("undefined", (position, 0), ha="center", color=_GREY)
            continue
        axes.boxplot(
            plcc,
            positions=[position],
            widths=0.5,
            medianprops={"color": _ORANGE},
            manage_ticks=False,
        )
        axes.scatter(np.full(len(plcc), position), plcc, s=16, color=_BLUE, alpha=0.7, zorder=3)
    axes.set_xticks(range(1, len(labels) + 1), labels)
    axes.set(ylabel="PLCC of a fold (ensemble)", xlim=(0.4, len(labels) + 0.6))
    return figure


def _figure(title: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
