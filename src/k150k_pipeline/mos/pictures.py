"""Pictures of a judged model; each function returns a figure and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from k150k_pipeline.mos.metrics import fit_logistic, logistic
from k150k_pipeline.mos.types import CrossValidation, Floats
from k150k_pipeline.schemas.features import MOS_MAX, MOS_MIN
from k150k_pipeline.schemas.mos_parameters import FitParameters

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d9730d", "#8a8a8a"
_MOST_POINTS = 3000  # with more clips, points would hide each other
_SHOWN_COLUMNS = 20
_CELL = 0.1  # MOS
_MOST_BINS, _CLIPS_PER_BIN = 8, 20
_LEAST_FOLDS = 4  # of fewer, a box shows nothing that the points do not
_MOST_VOTES, _ON_THE_LATTICE = 10, 0.75
_ROUNDING = 0.006  # MOS; published means have two decimals


def lattice_step(labels: Floats) -> float | None:
    """Return the step between labels that are means of few votes, such as 0.2 for five votes.

    Returns:
        The step; None if the labels are on no such lattice. Some may be off it, as some clips have
        more votes than the rest.
    """
    for votes in range(1, _MOST_VOTES + 1):
        off = np.abs(labels * votes - np.rint(labels * votes)) / votes
        if (off < _ROUNDING).mean() >= _ON_THE_LATTICE:
            return 1 / votes
    return None


def spread_labels(labels: Floats) -> tuple[Floats, float]:
    """Return labels spread evenly over their steps, and the step; 0 if they have none.

    Points of a lattice hide each other, and cells that its rows do not fill equally show stripes
    that the opinions do not have.
    """
    step = lattice_step(labels) or 0.0
    random = np.random.default_rng(0)
    return labels + step * random.uniform(-0.5, 0.5, len(labels)), step


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
    figure, axes = _figure(title, (6, 6.6) if len(true) <= _MOST_POINTS else (7.4, 6.6))
    labels, step = spread_labels(true)
    ends = (MOS_MIN - max(step, _CELL) / 2, MOS_MAX + max(step, _CELL) / 2)
    axes.plot(ends, ends, color=_GREY, lw=1, ls=":", label="equal")
    _draw_clips(figure, axes, predicted, labels, (_edges(ends, _CELL), _edges(ends, step or _CELL)))
    _draw_curve(axes, predicted, fit_logistic(predicted, true, fit))
    axes.set(xlabel="predicted MOS", ylabel=_spread_name("MOS", step), xlim=ends, ylim=ends)
    axes.set_aspect("equal")
    _legend(figure)
    return figure


def residuals(predicted: Floats, true: Floats, title: str) -> Figure:
    """Return predicted less true MOS against the prediction: clips, and mean ± SD of bins.

    Against the true MOS the residuals of every predictor slope, even of a perfect one. Bins have
    equal numbers of clips; with few clips there are none.
    """
    figure, axes = _figure(title, (7, 5))
    labels, step = spread_labels(true)
    errors = predicted - labels
    axes.axhline(0, color=_GREY, lw=1, ls=":", label="equal")
    reach = np.abs(errors).max() + _CELL
    ends = (predicted.min() - _CELL / 2, predicted.max() + _CELL / 2)
    cells = (_edges(ends, _CELL / 2), _edges((-reach, reach), _CELL))
    _draw_clips(figure, axes, predicted, errors, cells)
    _draw_bins(axes, predicted, predicted - true)
    axes.set(xlabel="predicted MOS", ylabel=_spread_name("predicted less true MOS", step))
    _legend(figure)
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
    for position, result in enumerate(results, start=1):
        folds = np.array([s["plcc"] for s in result["scores"] if s["seed"] == "ensemble"])
        plcc = folds[np.isfinite(folds)]
        _draw_folds(axes, plcc, position)
        if undefined := len(folds) - len(plcc):
            axes.annotate(
                f"{undefined} of {len(folds)}\nundefined",
                (position, 0.02),
                xycoords=axes.get_xaxis_transform(),
                ha="center",
                color=_GREY,
            )
    axes.set_xticks(range(1, len(results) + 1), [result["kind"] for result in results])
    axes.set(ylabel="PLCC of a fold (ensemble)", xlim=(0.4, len(results) + 0.6))
    axes.margins(y=0.15)
    return figure


def _draw_folds(axes: Axes, plcc: Floats, position: int) -> None:
    if len(plcc) >= _LEAST_FOLDS:
        axes.boxplot(
            plcc,
            positions=[position],
            widths=0.5,
            showfliers=False,  # every fold is a point already
            medianprops={"color": _ORANGE},
            manage_ticks=False,
        )
    axes.scatter(np.full(len(plcc), position), plcc, s=16, color=_BLUE, alpha=0.7, zorder=3)


def _draw_clips(
    figure: Figure, axes: Axes, x: Floats, y: Floats, cells: tuple[Floats, Floats]
) -> None:
    """Draw clips as points; as counts in cells when there are many."""
    if len(x) <= _MOST_POINTS:
        axes.scatter(x, y, s=12, alpha=0.5, color=_BLUE, lw=0, label="clip")
        return
    counts, _, _, image = axes.hist2d(x, y, bins=cells, cmin=1, norm=LogNorm(1), cmap="Blues")
    bar = figure.colorbar(image, ax=axes, label="clips", shrink=0.7)
    most = np.nanmax(counts)
    ticks = [n * 10**power for power in range(7) for n in (1, 2, 5) if n * 10**power <= most]
    bar.set_ticks(ticks, labels=[f"{tick:,}" for tick in ticks])
    bar.ax.yaxis.set_minor_locator(NullLocator())


def _draw_curve(axes: Axes, predicted: Floats, curve: Floats | None) -> None:
    if curve is None or not np.ptp(predicted):
        why = "the logistic fit found no curve" if curve is None else "all predictions are equal"
        axes.annotate(why, (0.98, 0.02), xycoords="axes fraction", ha="right", color=_GREY)
        return
    x = np.linspace(predicted.min(), predicted.max(), 200)
    axes.plot(x, logistic(x, *curve), color=_ORANGE, lw=2, label="4-parameter logistic fit")


def _draw_bins(axes: Axes, predicted: Floats, errors: Floats) -> None:
    number = min(_MOST_BINS, len(predicted) // _CLIPS_PER_BIN)
    if number < 2 or not np.ptp(predicted):
        return
    bins = np.array_split(np.argsort(predicted, kind="stable"), number)
    axes.errorbar(
        [predicted[rows].mean() for rows in bins],
        [errors[rows].mean() for rows in bins],
        yerr=[errors[rows].std() for rows in bins],
        color=_ORANGE,
        fmt="o-",
        capsize=3,
        label=f"mean ± SD of each {'half' if number == 2 else f'1/{number}'} of the clips",
    )


def _edges(ends: tuple[float, float], width: float) -> Floats:
    cells = max(1, round((ends[1] - ends[0]) / width))
    return np.linspace(ends[0], ends[1], cells + 1)


def _spread_name(name: str, step: float) -> str:
    return f"{name} (spread over its steps of {step:.3g})" if step else name


def _legend(figure: Figure) -> None:
    """Put the legend below the axes, where it hides no clip."""
    figure.legend(loc="outside lower center", ncols=3, frameon=False)


def _figure(title: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
