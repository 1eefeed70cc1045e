"""What the figures of a judged model show: cells, bins and the steps of labels, without drawing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from k150k_pipeline.mos.types import Floats, Integers

_NORMAL_95 = 1.96
_MOST_BINS, _CLIPS_PER_BIN = 8, 20
_MOST_VOTES, _ON_THE_LATTICE = 10, 0.75
_ROUNDING = 0.006  # MOS; published means have two decimals


@dataclass(frozen=True)
class Bin:
    """Clips whose value is between two ends.

    Attributes:
        low: Lower end; the value of the lowest clip where bins have equal numbers of clips.
        high: Upper end.
        clips: Number of clips.
        predicted: Mean prediction, in MOS.
        label: Mean label, in MOS.
        bias: Mean of predicted less true MOS.
        sd: SD of predicted less true MOS (ddof 0).
        rmse: Root of the mean squared error, in MOS.
        reach: Half of the 95 % interval of ``label``, in MOS; NaN for a single clip.
    """

    low: float
    high: float
    clips: int
    predicted: float
    label: float
    bias: float
    sd: float
    rmse: float
    reach: float


@dataclass(frozen=True)
class Cells:
    """Counts of clips in the cells of a grid.

    Attributes:
        x: Middle of each column, shape (columns,).
        y: Middle of each row, shape (rows,).
        counts: Number of clips, shape (rows, columns).
    """

    x: Floats
    y: Floats
    counts: Integers


def lattice_step(labels: Floats) -> float | None:
    """Return the step between labels that are means of few votes, such as 0.2 for five votes.

    Returns:
        The step; None if the labels are on no such lattice. Some may be off it, as some clips have
        more votes than the rest.
    """
    for votes in range(1, _MOST_VOTES + 1):
        off = np.abs(labels * votes - np.rint(labels * votes)) / votes
        if len(off) and (off < _ROUNDING).mean() >= _ON_THE_LATTICE:
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


def edges(low: float, high: float, width: float) -> Floats:
    """Return the edges of cells of about a width, from one end to the other."""
    return np.linspace(low, high, max(1, round((high - low) / width)) + 1)


def count_cells(x: Floats, y: Floats, x_edges: Floats, y_edges: Floats) -> Cells:
    """Count clips in the cells of a grid; clips beyond its ends are in no cell."""
    counts, _, _ = np.histogram2d(x, y, bins=(x_edges, y_edges))
    middles = [(ends[1:] + ends[:-1]) / 2 for ends in (x_edges, y_edges)]
    return Cells(middles[0], middles[1], counts.T.astype(np.intp))


def equal_bins(predicted: Floats, true: Floats) -> list[Bin]:
    """Return bins of equal numbers of clips by their prediction; none where there are few clips.

    Args:
        predicted: Predictions, shape (clips,).
        true: MOS, shape (clips,).
    """
    number = min(_MOST_BINS, len(predicted) // _CLIPS_PER_BIN)
    if number < 2 or not np.ptp(predicted):
        return []
    rows = np.array_split(np.argsort(predicted, kind="stable"), number)
    return [
        _bin(predicted[own].min(), predicted[own].max(), predicted[own], true[own]) for own in rows
    ]


def bins_by(values: Floats, predicted: Floats, true: Floats, width: float) -> list[Bin]:
    """Return bins of one width; empty ones are left out.

    Args:
        values: What the clips are binned by, shape (clips,): predictions or MOS.
        predicted: Predictions, shape (clips,).
        true: MOS, shape (clips,).
        width: Width of a bin; its ends are multiples of it.
    """
    numbers = np.floor(np.round(values / width, 9)).astype(int)
    found: Iterable[int] = np.unique(numbers).tolist()
    return [
        _bin(n * width, (n + 1) * width, predicted[numbers == n], true[numbers == n]) for n in found
    ]


def _bin(low: float, high: float, predicted: Floats, true: Floats) -> Bin:
    errors, clips = predicted - true, len(true)
    error = float(true.std(ddof=1)) / clips**0.5 if clips > 1 else float("nan")
    return Bin(
        low=float(low),
        high=float(high),
        clips=clips,
        predicted=float(predicted.mean()),
        label=float(true.mean()),
        bias=float(errors.mean()),
        sd=float(errors.std()),
        rmse=float(np.sqrt((errors**2).mean())),
        reach=_NORMAL_95 * error,
    )
