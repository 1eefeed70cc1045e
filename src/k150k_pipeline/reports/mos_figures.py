"""Figures of a judged model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from plotly import graph_objects as go

from k150k_pipeline.mos.binned import (
    Bin,
    Cells,
    bins_by,
    count_cells,
    edges,
    equal_bins,
    spread_labels,
)
from k150k_pipeline.mos.metrics import fit_logistic, logistic
from k150k_pipeline.mos.standing import Role, Standing
from k150k_pipeline.mos.types import Floats
from k150k_pipeline.reports.figures import (
    empty_figure,
    new_figure,
    numbers,
    plain,
    ticks_of_counts,
)
from k150k_pipeline.schemas.features import MOS_MAX, MOS_MIN
from k150k_pipeline.schemas.mos_parameters import FitParameters

MOST_POINTS = 3000
"""Clips that are drawn as points; more would hide each other, and are counted in cells."""

SHOWN_COLUMNS = 20
"""Columns whose importance is drawn."""

_CELL = 0.1  # MOS
_BIN = 0.25  # MOS
_SHOWN_NAME, _AXIS_NAME = 60, 32
_LEAST_FOLDS = 4  # of fewer, a box shows nothing that the points do not
_NOTHING_JUDGED = "No clip was judged."
_SYMBOLS: dict[Role, str] = {"ceiling": "diamond", "model": "circle", "baseline": "square-open"}
_METRICS = {"plcc": "PLCC", "srocc": "SROCC", "rmse": "RMSE"}
_GATE = "the gate's threshold"


def standing_figure(standings: Sequence[Standing], gate: Mapping[str, float]) -> go.Figure:
    """Return PLCC and SROCC, and below them RMSE, of ceiling, model, baselines and gate.

    Args:
        standings: The scores.
        gate: Thresholds by metric.
    """
    shown = [s for s in standings if math.isfinite(s.value)]
    if not shown:
        return empty_figure("No score is defined.")
    names = list(dict.fromkeys([*(s.name for s in shown), _GATE]))
    traces = [
        _standing_trace([s for s in shown if s.metric == metric], metric, names, gate)
        for metric in _METRICS
    ]
    figure = new_figure(*traces, height=150 + 2 * 34 * len(names))
    of_names = {
        "tickvals": list(range(len(names))), "ticktext": names, "zeroline": False,
        "range": [len(names) - 0.5, -0.5],
    }  # fmt: skip
    return figure.update_layout(
        yaxis={**of_names, "domain": [0.58, 1]},
        yaxis2={**of_names, "domain": [0, 0.42], "anchor": "x2"},
        xaxis={"title": {"text": "PLCC and SROCC (right is better)"}, "anchor": "y"},
        xaxis2={"title": {"text": "RMSE, MOS (left is better)"}, "anchor": "y2"},
    )


def predicted_true(predictions: pd.DataFrame, fit: FitParameters) -> go.Figure:
    """Return predictions against MOS with the fitted logistic curve.

    Args:
        predictions: ``clip_name``, ``mos`` and ``predicted`` of the judged clips.
        fit: Parameters of the fit.
    """
    predicted, true, names = _columns(predictions)
    if not len(true):
        return empty_figure(_NOTHING_JUDGED)
    labels, step = spread_labels(true)
    low, high = MOS_MIN - max(step, _CELL) / 2, MOS_MAX + max(step, _CELL) / 2
    x_edges, y_edges = edges(low, high, _CELL), edges(low, high, step or _CELL)
    figure = new_figure(
        _clips(predicted, labels, names, x_edges, y_edges, "predicted %{x:.3f}, MOS %{y:.3f}"),
        _line([low, high], [low, high], "equal"),
        *_curve(predicted, fit_logistic(predicted, true, fit)),
        x="predicted MOS",
        y=_spread_name("MOS", step),
        height=480,
    )
    figure.update_xaxes(range=[low, high])
    figure.update_yaxes(range=[low, high])
    return figure


def residuals(predictions: pd.DataFrame) -> go.Figure:
    """Return predicted less true MOS against the prediction: clips, and mean ± SD of bins.

    Against the true MOS the residuals of every predictor slope, even of a perfect one. Bins have
    equal numbers of clips; with few clips there are none.
    """
    predicted, true, names = _columns(predictions)
    if not len(true):
        return empty_figure(_NOTHING_JUDGED)
    labels, step = spread_labels(true)
    errors = predicted - labels
    reach = float(np.abs(errors).max()) + _CELL
    low, high = float(predicted.min()) - _CELL / 2, float(predicted.max()) + _CELL / 2
    x_edges, y_edges = edges(low, high, _CELL / 2), edges(-reach, reach, _CELL)
    return new_figure(
        _clips(predicted, errors, names, x_edges, y_edges, "predicted %{x:.3f}, error %{y:.3f}"),
        _line([low, high], [0, 0], "no error"),
        *_mean_of_bins(equal_bins(predicted, true)),
        x="predicted MOS",
        y=_spread_name("predicted less true MOS", step),
        height=480,
    )


def calibration(predictions: pd.DataFrame) -> go.Figure:
    """Return the mean label of the clips of each bin of the prediction, with its 95 % interval."""
    predicted, true, _ = _columns(predictions)
    if not len(true):
        return empty_figure(_NOTHING_JUDGED)
    bins = bins_by(predicted, predicted, true, _BIN)
    ends = [min(b.low for b in bins), max(b.high for b in bins)]
    points = go.Scatter(
        x=numbers([b.predicted for b in bins]),
        y=numbers([b.label for b in bins]),
        error_y={"type": "data", "array": numbers([b.reach for b in bins])},
        customdata=[[b.clips, b.low, b.high] for b in bins],
        hovertemplate=(
            "predicted %{customdata[1]} to %{customdata[2]}: %{customdata[0]:,} clips, mean "
            "prediction %{x:.3f}, mean MOS %{y:.3f}<extra></extra>"
        ),
        mode="markers",
        marker={"size": 9},
        name=f"mean MOS of a bin of {_BIN}, 95 % interval",
    )
    return new_figure(
        points,
        _line(ends, ends, "equal"),
        x="mean prediction of the bin (MOS)",
        y="mean MOS of its clips",
    )


def errors_by_label(predictions: pd.DataFrame) -> go.Figure:
    """Return mean error and RMSE of the clips of each bin of the label."""
    predicted, true, _ = _columns(predictions)
    if not len(true):
        return empty_figure(_NOTHING_JUDGED)
    bins = bins_by(true, predicted, true, _BIN)
    middles = numbers([(b.low + b.high) / 2 for b in bins])
    clips = [b.clips for b in bins]
    series = {"mean of predicted less true": [b.bias for b in bins], "RMSE": [b.rmse for b in bins]}
    traces = [
        go.Scatter(
            x=middles,
            y=numbers(values),
            customdata=clips,
            mode="lines+markers",
            marker={"size": 8, "symbol": symbol},
            name=name,
            hovertemplate=f"MOS about %{{x}}: {name} %{{y:.3f}}, %{{customdata:,}} clips"
            "<extra></extra>",
        )
        for (name, values), symbol in zip(series.items(), ("circle", "diamond"), strict=True)
    ]
    return new_figure(*traces, x=f"MOS of the clip, bins of {_BIN}", y="error (MOS)")


def importance(rises: Mapping[str, float | None]) -> go.Figure:
    """Return the rise of RMSE when each column is shuffled, the largest on top."""
    shown = [(name, rise) for name, rise in rises.items() if rise is not None][:SHOWN_COLUMNS]
    if not shown:
        return empty_figure("No column was shuffled.")
    bar = go.Bar(
        x=numbers([rise for _, rise in shown]),
        y=[plain(name) for name, _ in shown],
        orientation="h",
        texttemplate="%{x:.4f}",
        hovertemplate="%{y}: %{x:.5f} MOS<extra></extra>",
    )
    figure = new_figure(bar, x="rise of RMSE when shuffled (MOS)", height=120 + 26 * len(shown))
    figure.update_yaxes(
        autorange="reversed", type="category", tickvals=list(bar.y),
        ticktext=[plain(_short(name, _AXIS_NAME)) for name, _ in shown],
    )  # fmt: skip
    return figure


def folds(results: Mapping[str, Mapping[str, Any]]) -> go.Figure:
    """Return the PLCC of the ensemble on every fold, by kind of model."""
    found = {kind: _plcc_of_folds(result) for kind, result in results.items()}
    if not any(found.values()):
        return empty_figure("No fold has a PLCC.")
    traces = [_fold_trace(kind, plcc) for kind, plcc in found.items() if plcc]
    figure = new_figure(*traces, x="kind of model", y="PLCC of a fold (ensemble)")
    return figure.update_layout(showlegend=False)


def _plcc_of_folds(result: Mapping[str, Any]) -> dict[str, float]:
    folds = [s for s in result["scores"] if s["seed"] == "ensemble"]
    return {s["fold"]: s["plcc"] for s in folds if s["plcc"] is not None}


def _fold_trace(kind: str, plcc: Mapping[str, float]) -> go.Box | go.Scatter:
    texts = [plain(name) for name in plcc]
    shared = {"y": numbers(list(plcc.values())), "x": [kind] * len(plcc), "name": kind}
    hover = "%{text}: PLCC %{y:.4f}<extra></extra>"
    if len(plcc) < _LEAST_FOLDS:
        return go.Scatter(
            **shared, mode="markers", marker={"size": 9}, text=texts, hovertemplate=hover
        )
    return go.Box(
        **shared, boxpoints="all", jitter=0.4, pointpos=0, text=texts, hovertemplate=hover
    )


def _standing_trace(
    shown: Sequence[Standing], metric: str, names: Sequence[str], gate: Mapping[str, float]
) -> go.Scatter:
    """Return the scores of one metric; those of the two correlations are beside each other."""
    offset = {"plcc": -0.13, "srocc": 0.13, "rmse": 0.0}[metric]
    values, rows = [s.value for s in shown], [names.index(s.name) + offset for s in shown]
    symbols, ends = [_SYMBOLS[s.role] for s in shown], [(s.low, s.high) for s in shown]
    if metric in gate:
        values, rows = [*values, gate[metric]], [*rows, len(names) - 1 + offset]
        symbols, ends = [*symbols, "line-ns-open"], [*ends, (math.nan, math.nan)]
    low, high = np.array(ends, dtype=float).reshape(-1, 2).T
    axis = "2" if metric == "rmse" else ""
    return go.Scatter(
        x=numbers(values),
        y=numbers(rows),
        xaxis=f"x{axis}",
        yaxis=f"y{axis}",
        mode="markers",
        marker={"size": 11, "symbol": symbols, "line": {"width": _outlines(symbols)}},
        error_x={
            "type": "data", "symmetric": False, "width": 0, "thickness": 3,
            "array": numbers(high - values),
            "arrayminus": numbers(values - low),
        },
        text=[*(s.name for s in shown), _GATE][: len(values)],
        hovertemplate=f"%{{text}}: {_METRICS[metric]} %{{x:.4f}}<extra></extra>",
        name=_METRICS[metric],
    )  # fmt: skip


def _outlines(symbols: Sequence[str]) -> list[int]:
    return [2 if symbol.endswith("-open") else 0 for symbol in symbols]


def _clips(
    x: Floats, y: Floats, names: Sequence[str], x_edges: Floats, y_edges: Floats, hover: str
) -> go.Scatter | go.Heatmap:
    """Return clips as points; as counts in cells when there are many."""
    if len(x) > MOST_POINTS:
        return _heatmap(count_cells(x, y, x_edges, y_edges), hover)
    return go.Scatter(
        x=numbers(x),
        y=numbers(y),
        text=[plain(_short(name)) for name in names],
        mode="markers",
        marker={"size": 6, "opacity": 0.55},
        name="clip",
        hovertemplate=f"%{{text}}: {hover}<extra></extra>",
    )


def _heatmap(cells: Cells, hover: str) -> go.Heatmap:
    """Return counts as colours of their logarithm, so that a cell with one clip can be seen."""
    most = int(cells.counts.max(initial=1))
    return go.Heatmap(
        x=numbers(cells.x),
        y=numbers(cells.y),
        z=[[round(math.log10(n), 3) if n else None for n in row] for row in cells.counts.tolist()],
        customdata=cells.counts.tolist(),
        hovertemplate=f"{hover}: %{{customdata:,}} clips<extra></extra>",
        hoverongaps=False,
        autocolorscale=True,
        zmin=0,
        colorbar={"title": {"text": "clips"}, "thickness": 12, **ticks_of_counts(most)},
    )


def _curve(predicted: Floats, curve: Floats | None) -> list[go.Scatter]:
    if curve is None or not np.ptp(predicted):
        return []
    x = np.linspace(predicted.min(), predicted.max(), 100)
    line = {"dash": "solid", "width": 3}
    return [_line(x, logistic(x, *curve), "4-parameter logistic fit", line)]


def _mean_of_bins(bins: Sequence[Bin]) -> list[go.Scatter]:
    if not bins:
        return []
    share = "half" if len(bins) == 2 else f"1/{len(bins)}"
    return [
        go.Scatter(
            x=numbers([b.predicted for b in bins]),
            y=numbers([b.bias for b in bins]),
            error_y={"type": "data", "array": numbers([b.sd for b in bins])},
            customdata=[b.clips for b in bins],
            mode="lines+markers",
            marker={"size": 9, "symbol": "diamond"},
            name=f"mean ± SD of each {share} of the clips",
            hovertemplate="%{customdata:,} clips: mean error %{y:.3f} MOS<extra></extra>",
        )
    ]


def _line(x: Any, y: Any, name: str, line: Mapping[str, Any] | None = None) -> go.Scatter:
    return go.Scatter(
        x=numbers(x),
        y=numbers(y),
        mode="lines",
        line=line or {"dash": "dot", "width": 2},
        name=name,
        hoverinfo="skip",
    )


def _columns(predictions: pd.DataFrame) -> tuple[Floats, Floats, list[str]]:
    """Return prediction, MOS and name of the clips that have both numbers."""
    predicted, true = (predictions[c].to_numpy(dtype=float) for c in ("predicted", "mos"))
    both = np.isfinite(predicted) & np.isfinite(true)
    return predicted[both], true[both], predictions["clip_name"][both].astype(str).tolist()


def _spread_name(name: str, step: float) -> str:
    return f"{name} (steps of {step:.3g} spread)" if step else name


def _short(name: str, most: int = _SHOWN_NAME) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
