"""Figures of reports and notebooks, from numbers that are put into bins before they are drawn.

Colours are not set in the figures but in two templates, so that a page can change from light to
dark. The palette is that of Okabe and Ito, which people with any colour vision can tell apart.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from plotly import graph_objects as go

from k150k_pipeline.reports.page import duration

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """One of several small figures: a trace, a title above it, and titles of its axes."""

    title: str
    trace: Any
    x: str
    y: str


_LIGHT_WAY = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DARK_WAY = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00")
_LIGHT_SCALE = ((0, "#a3cbe6"), (0.5, "#0072b2"), (1, "#002b45"))
_DARK_SCALE = ((0, "#2f6690"), (0.5, "#56b4e9"), (1, "#f2f8fd"))
_BINS = 60
_GRID = 60
_LEAST_STEPS, _OFF_LATTICE = 5, 0.05
_FEW, _MANY = 6, 1000
_LEAST_SCALE = 10.0
_PANELS = 3  # beside each other
_PANEL_HEIGHT, _PANEL_GAP = 190, 90  # pixels
_BETWEEN = 0.22  # of the width of a panel, for the labels of its neighbour
_ONE_COLOUR = "#3a8fc4"  # of panels, in which another colour would mean nothing
_PAUSE = 600.0  # seconds without a finished clip
_RATE_BINS = 100
_FONT = 'system-ui, "Segoe UI", Roboto, Arial, sans-serif'
_NEUTRAL = "#808890"  # readable on white and on black, for viewers with a theme of their own


def _template(
    text: str, lines: str, way: Sequence[str], scale: Sequence[tuple[float, str]]
) -> dict[str, Any]:
    axis = {
        "gridcolor": lines, "linecolor": lines, "zerolinecolor": lines, "zerolinewidth": 1,
        "automargin": True, "ticks": "outside", "tickcolor": lines, "title": {"standoff": 8},
    }  # fmt: skip
    return {
        "layout": {
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": _FONT, "size": 13, "color": text},
            "colorway": list(way),
            "colorscale": {"sequential": [list(stop) for stop in scale]},
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"l": 8, "r": 12, "t": 12, "b": 8},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "hovermode": "closest",
            "bargap": 0.05,
        },
        "data": {"heatmap": [{"autocolorscale": True, "colorbar": {"thickness": 12}}]},
    }


LIGHT = _template("#1b1f24", "#d6dbe0", _LIGHT_WAY, _LIGHT_SCALE)
"""Plotly template of a page in light colours."""

DARK = _template("#e6e9ec", "#353c44", _DARK_WAY, _DARK_SCALE)
"""Plotly template of a page in dark colours."""

_PLAIN = _template(_NEUTRAL, "rgba(128,136,144,0.35)", _DARK_WAY, _LIGHT_SCALE)


def new_figure(*traces: Any, x: str = "", y: str = "", **layout: Any) -> go.Figure:
    """Return a figure of traces in this look.

    Args:
        traces: Traces of plotly.
        x: Title of the x axis, with the unit.
        y: Title of the y axis, with the unit.
        layout: More of plotly's layout, such as ``height`` in pixels.
    """
    axes = {"xaxis": {"title": {"text": x or None}}, "yaxis": {"title": {"text": y or None}}}
    return go.Figure(data=list(traces), layout={"template": _PLAIN, **axes, **layout})


def empty_figure(why: str) -> go.Figure:
    """Return a figure that says why there is nothing to draw."""
    figure = new_figure()
    figure.add_annotation(
        text=plain(why), showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper"
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def plain(text: str) -> str:
    """Return a text from outside, such as a clip name, so that plotly does not read its tags."""
    return html.escape(text, quote=False)


def histogram(values: npt.ArrayLike, x: str, *, y: str = "clips", share: float = 1.0) -> go.Figure:
    """Return counts of values in bins; NaN and infinities are left out.

    Args:
        values: Numbers, shape (clips,).
        x: Title of the x axis, with the unit.
        y: Title of the y axis.
        share: Share of the values, from the lowest, that have a bin each; the last bin has the
            rest. For values of which a few are far from the others.
    """
    finite = finite_of(values)
    if not len(finite):
        return empty_figure("There is no value to show.")
    bars = binned(np.minimum(finite, np.quantile(finite, share)))
    figure = new_figure(bars, x=x, y=y)
    figure.update_yaxes(**_whole_ticks(bars.y))
    if finite.min() == finite.max():  # ticks beside the only value would be values of no clip
        figure.update_xaxes(tickvals=numbers(finite[:1]))
    return figure


def binned(values: Floats) -> go.Bar:
    """Return the bars of a histogram of finite values, of which there is at least one."""
    return histogram_trace(*np.histogram(values, _bins(values)))


def histogram_trace(counts: npt.ArrayLike, edges: npt.ArrayLike) -> go.Bar:
    """Return bars as wide as their bins; hovering shows the ends of a bin and its count."""
    ends = np.asarray(edges, dtype=float)
    labels = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(ends)]
    return go.Bar(
        x=numbers((ends[:-1] + ends[1:]) / 2),
        y=numbers(counts),
        width=numbers(np.diff(ends)),
        hovertext=labels,
        hovertemplate="%{hovertext}: %{y:,}<extra></extra>",
        showlegend=False,
    )


def bars(counts: Mapping[str, float], x: str) -> go.Figure:
    """Return one horizontal bar per name, the first on top."""
    if not counts:
        return empty_figure("There is nothing to count.")
    names = [plain(name) for name in counts]
    bar = go.Bar(
        x=numbers(list(counts.values())),
        y=names,
        orientation="h",
        texttemplate="%{x:,}",
        textposition="auto",
        hovertemplate="%{y}: %{x:,}<extra></extra>",
    )
    figure = new_figure(bar, x=x, height=max(160, 70 + 34 * len(names)))
    figure.update_xaxes(**_whole_ticks(counts.values()))
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


def _whole_ticks(counts: Iterable[float]) -> dict[str, Any]:
    """Return settings of an axis of counts, of which there is no half."""
    return {"dtick": 1} if max(counts) <= _FEW else {}


def density(
    x_values: npt.ArrayLike, y_values: npt.ArrayLike, x: str, y: str, *, counted: str = "clips"
) -> go.Figure:
    """Return how many pairs of values are in each cell of a grid; empty cells have no colour.

    Args:
        x_values: Numbers, shape (clips,); pairs that are not finite are left out.
        y_values: Numbers, shape (clips,).
        x: Title of the x axis, with the unit.
        y: Title of the y axis, with the unit.
        counted: What the numbers count.
    """
    trace = density_trace(x_values, y_values, counted=counted)
    if trace is None:
        return empty_figure("There is no pair of values to show.")
    return new_figure(trace, x=x, y=y)


def density_trace(
    x_values: npt.ArrayLike,
    y_values: npt.ArrayLike,
    *,
    counted: str = "clips",
    cells: int = _GRID,
    colorbar: bool = True,
) -> go.Heatmap | None:
    """Return the grid of :func:`density`; None if there is no pair.

    Colours are of the logarithm of the count, so that a cell with one clip can be seen.
    """
    xs, ys = np.asarray(x_values, dtype=float), np.asarray(y_values, dtype=float)
    both = np.isfinite(xs) & np.isfinite(ys)
    if not both.any():
        return None
    counts, x_edges, y_edges = np.histogram2d(
        xs[both], ys[both], (_bins(xs[both], cells), _bins(ys[both], cells))
    )
    grid = counts.T
    most = max(float(grid.max()), _LEAST_SCALE)
    ticks = ticks_of_counts(most)
    return go.Heatmap(
        x=numbers((x_edges[:-1] + x_edges[1:]) / 2),
        y=numbers((y_edges[:-1] + y_edges[1:]) / 2),
        z=[[float(f"{np.log10(n):.3g}") if n else None for n in row] for row in grid],
        customdata=grid.astype(int).tolist(),
        hovertemplate=f"%{{x:.4g}}, %{{y:.4g}}: %{{customdata:,}} {counted}<extra></extra>",
        hoverongaps=False,
        showscale=colorbar,
        autocolorscale=True,
        zmin=0,
        zmax=float(np.log10(most)),
        colorbar={"title": {"text": counted}, "thickness": 12, **ticks},
    )


def ticks_of_counts(most: float) -> dict[str, Any]:
    """Return the ticks of a colour bar of the logarithms of counts: 1, 2, 5, 10, 20 and so on."""
    counts = [n * 10**power for power in range(7) for n in (1, 2, 5) if n * 10**power <= most]
    shown = counts if most < _MANY else [n for n in counts if str(n).startswith("1")]
    return {
        "tickvals": [float(f"{np.log10(n):.4g}") for n in shown],
        "ticktext": [f"{n:,}" for n in shown],
    }


def multiples(panels: Sequence[Panel]) -> go.Figure:
    """Return small figures beside and below each other, three in a row."""
    if not panels:
        return empty_figure("There is nothing that differs between the clips.")
    rows = -(-len(panels) // _PANELS)
    height = rows * (_PANEL_HEIGHT + _PANEL_GAP)
    width = 1 / (_PANELS + _BETWEEN * (_PANELS - 1))
    layout: dict[str, Any] = {
        "height": height,
        "annotations": [],
        "colorway": [_ONE_COLOUR],
        "template": _PLAIN,
    }
    for index, panel in enumerate(panels):
        number = str(index + 1) if index else ""
        row, column = divmod(index, _PANELS)
        left = column * width * (1 + _BETWEEN)
        across = [left, left + width]
        top = 1 - (row * (_PANEL_HEIGHT + _PANEL_GAP) + 30) / height
        down = [top - _PANEL_HEIGHT / height, top]
        panel.trace.xaxis, panel.trace.yaxis = f"x{number}", f"y{number}"
        layout[f"xaxis{number}"] = _axis(panel.x, across, f"y{number}")
        layout[f"yaxis{number}"] = {**_axis(panel.y, down, f"x{number}"), **_steps(panel.trace)}
        layout["annotations"].append(_heading(panel.title, across[0], top))
    return go.Figure(data=[panel.trace for panel in panels], layout=layout)


def one_at_a_time(figure: Mapping[str, Any]) -> dict[str, Any]:
    """Return :func:`multiples` with a list to choose one from, for viewers of one small size.

    Args:
        figure: A figure in plotly's JSON form. Of any other than that of multiples only the letters
            of a second pair of axes change, which such viewers do not make smaller.
    """
    traces, layout = figure["data"], figure["layout"]
    titles = [note["text"] for note in layout.get("annotations", [])]
    if len(traces) < 2 or len(titles) != len(traces):
        further = {name: layout[name] for name in ("xaxis2", "yaxis2") if name in layout}
        small = {name: _small(axis) for name, axis in further.items()}
        return {**figure, "layout": {**layout, **small}}
    axes = [tuple(_title_of(layout, trace, axis) for axis in "xy") for trace in traces]
    buttons = [
        {
            "label": title.removeprefix("<b>").removesuffix("</b>"), "method": "update",
            "args": [
                {"visible": [other == number for other in range(len(traces))]},
                {"xaxis.title.text": x, "yaxis.title.text": y},
            ],
        }
        for number, (title, (x, y)) in enumerate(zip(titles, axes, strict=True))
    ]  # fmt: skip
    (x, y), colour = axes[0], {"marker": {"color": _ONE_COLOUR}}
    return {
        "data": [
            {**trace, **(colour if trace["type"] == "bar" else {}), "xaxis": "x", "yaxis": "y",
             "visible": not number}
            for number, trace in enumerate(traces)
        ],
        "layout": {
            "template": layout["template"],
            "xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}},
            "updatemenus": [{"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.02,
                             "yanchor": "bottom", "bgcolor": "rgba(128,136,144,0.2)"}],
        },
    }  # fmt: skip


def _small(axis: Mapping[str, Any]) -> dict[str, Any]:
    title = {**axis.get("title", {}), "font": {"size": 9}}
    return {**axis, "tickfont": {"size": 8}, "title": title}


def _title_of(layout: Mapping[str, Any], trace: Mapping[str, Any], axis: str) -> str:
    name = trace[f"{axis}axis"].replace(axis, f"{axis}axis")
    title: str = layout[name]["title"]["text"]
    return title


def _axis(title: str, domain: list[float], anchor: str) -> dict[str, Any]:
    return {
        "title": {"text": title, "font": {"size": 12}}, "domain": domain, "anchor": anchor,
        "tickfont": {"size": 11}, "nticks": 6,
    }  # fmt: skip


def _steps(trace: Any) -> dict[str, Any]:
    return _whole_ticks(trace.y) if isinstance(trace, go.Bar) else {}


def _heading(title: str, left: float, top: float) -> dict[str, Any]:
    return {
        "text": f"<b>{plain(title)}</b>", "showarrow": False, "xref": "paper", "yref": "paper",
        "x": left, "y": top, "xanchor": "left", "yanchor": "bottom",
    }  # fmt: skip


def rate(finished_at: npt.ArrayLike, seconds: npt.ArrayLike, weight: float = 1.0) -> go.Figure:
    """Return finished clips per second over the time at work, without the pauses.

    Args:
        finished_at: When each clip was finished, in seconds since the epoch, shape (clips,).
        seconds: Seconds that each clip took, shape (clips,); the first clip began so long before
            it was finished.
        weight: Number of clips that each of these stands for.
    """
    order = np.argsort(np.asarray(finished_at, dtype=float), kind="stable")
    at, took = (np.asarray(v, dtype=float)[order] for v in (finished_at, seconds))
    if len(at) < 2:
        return empty_figure("Fewer than two clips have a recorded time.")
    gaps = np.diff(at, prepend=at[0] - took[0])
    work = np.cumsum(np.clip(gaps, 0, _PAUSE))
    whole, unit = duration(float(work[-1]))
    per = float(work[-1]) / whole if whole else 1.0
    edges = np.linspace(0, max(float(work[-1]), 1e-3), min(_RATE_BINS, len(at)) + 1)
    counts, _ = np.histogram(work, edges)
    line = go.Scatter(
        x=numbers(edges / per),
        y=numbers(np.append(counts, counts[-1]) * weight / (edges[1] - edges[0])),
        mode="lines",
        line={"shape": "hv"},
        hovertemplate=f"%{{x:.3g}} {unit}: %{{y:.3g}} clips/s<extra></extra>",
    )
    figure = new_figure(line, x=f"time at work ({unit})", y="clips per second")
    for pause in work[gaps > _PAUSE]:
        figure.add_vline(x=float(pause) / per, line={"dash": "dot", "width": 1, "color": _NEUTRAL})
    figure.update_yaxes(rangemode="tozero")
    return figure


def numbers(values: npt.ArrayLike) -> list[float | int | None]:
    """Return numbers as a list with at most 7 digits each; what is not finite becomes None.

    Plotly would write an array as base64, which nobody can read back without it.
    """
    return [_short(value) for value in np.asarray(values).tolist()]


def finite_of(values: npt.ArrayLike) -> Floats:
    """Return the finite values."""
    array = np.asarray(values, dtype=float)
    finite: Floats = array[np.isfinite(array)]
    return finite


def _short(value: Any) -> float | int | None:
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.7g}") if np.isfinite(value) else None


def _bins(values: Floats, number: int = _BINS) -> Floats:
    """Return edges of equal bins; equal values are in the middle of one.

    Values on a lattice, such as means of five votes, are in the middle of bins as wide as its
    step. Other bins would show stripes that the values do not have.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        reach = abs(low) * 0.01 or 0.5
        return np.array([low - reach, low + reach])
    step = _step(values)
    if step and (high - low) / step <= number:
        steps: Floats = np.arange(round((high - low) / step) + 2, dtype=np.float64)
        return low + step * (steps - 0.5)
    edges: Floats = np.linspace(low, high, number + 1)
    return edges


def _step(values: Floats) -> float | None:
    """Return the step of the lattice that values are on; None if they are on none."""
    distinct = np.unique(values)
    if len(distinct) < _LEAST_STEPS or len(distinct) > _BINS:
        return None
    steps = np.diff(distinct)
    step = float(steps.min())
    off = np.abs(steps / step - np.rint(steps / step))
    return step if off.max() < _OFF_LATTICE else None
