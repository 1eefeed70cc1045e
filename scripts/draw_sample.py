"""Draw the features of the sample run into docs/pictures/sample.svg: ``make picture``."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from k150k_pipeline.pipelines.sample.nodes import RECIPES, clip_name

PROJECT = Path(__file__).resolve().parents[1]
TABLE = Path("data/sample/04_feature/full_features_k150k.parquet")
PICTURE = Path("docs/pictures/sample.svg")

COLUMNS = {
    "mos": "MOS (made up)",
    "cambi_mean": "cambi: banding",
    "motion_mean": "motion",
    "vmaf_mean": "vmaf",
}
"""Titles of the panels by column."""

_MARK, _LINE, _TEXT, _MISSING = "#4878a8", "#dddddd", "#333333", "#b03030"


def draw(features: pd.DataFrame) -> Figure:
    """Return the picture: a row for each clip of the sample, a panel for each column.

    Args:
        features: The features table of a run on the sample; a clip without a row has no dots.
    """
    names = [clip_name(number) for number in range(1, len(RECIPES) + 1)]
    rows = features.set_index("clip_name").reindex(names)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, len(COLUMNS), sharey=True)
    for panel, (column, title) in zip(panels, COLUMNS.items(), strict=True):
        _draw_panel(panel, rows[column], title)
    panels[0].set_yticks(range(len(names)), [recipe.content for recipe in RECIPES], fontsize=8)
    panels[0].invert_yaxis()
    return figure


def _draw_panel(panel: Axes, values: pd.Series[float], title: str) -> None:
    """Draw dots over the range of the values: bars would look like amounts, which begin at 0."""
    low, high = values.min(), values.max()
    for row, value in enumerate(values):
        missing = pd.isna(value)
        text, colour = ("no row", _MISSING) if missing else (f"{value:.1f}", _TEXT)
        at = (low if missing else value, row)
        panel.annotate(
            text, at, (6, 0), textcoords="offset points", va="center", fontsize=7, color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip
    panel.hlines(np.flatnonzero(values.notna()), low, high, color=_LINE, linewidth=0.8, zorder=0)
    panel.plot(values, range(len(values)), "o", color=_MARK, markersize=5)
    panel.set_xlim(low - 0.05 * (high - low), high + 0.25 * (high - low))
    panel.set_title(title, fontsize=9, color=_TEXT)
    panel.tick_params(labelsize=7, length=0, colors=_TEXT)
    panel.spines[["top", "left", "right", "bottom"]].set_visible(False)
    panel.set_xticks([])


def save(figure: Figure, path: Path) -> None:
    """Write the picture as SVG; the same features give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "k150k", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    save(draw(pd.read_parquet(PROJECT / TABLE)), PROJECT / PICTURE)
