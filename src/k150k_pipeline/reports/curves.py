"""Rate-distortion curves of FR rows: quantiles over clips, breaks of order, BD-rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.interpolate import PchipInterpolator  # slow to import

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_GRID = 41
_LEAST_SHARE = 0.1  # of the clips, at a bitrate: fewer are no picture of the corpus
_DRAWS = 200
_LEAST_CURVE = 2


@dataclass(frozen=True)
class Sweeps:
    """Points of rate-distortion curves, by way of encoding, clip and CRF.

    Attributes:
        ways: Encoder, preset and extra parameters of each way of encoding, as one text.
        clips: Names of the clips.
        way: Index of the way of each point, shape (points,).
        clip: Index of the clip of each point, shape (points,).
        crf: CRF, shape (points,).
        kbps: Bitrate in kbit/s, shape (points,).
        vmaf: Mean VMAF over the frames, 0–100, shape (points,).
    """

    ways: list[str]
    clips: list[str]
    way: Integers
    clip: Integers
    crf: Integers
    kbps: Floats
    vmaf: Floats

    def of_way(self, way: int) -> Sweeps:
        """Return the points of one way of encoding."""
        return self._where(self.way == way)

    def curves(self) -> Iterator[slice]:
        """Yield the points of each curve: those of one clip in one way, by rising CRF."""
        if not len(self.crf):
            return
        new = (np.diff(self.clip) != 0) | (np.diff(self.way) != 0)
        starts = [0, *(np.flatnonzero(new) + 1).tolist(), len(self.crf)]
        for first, last in pairwise(starts):
            yield slice(first, last)

    def _where(self, rows: npt.NDArray[np.bool_]) -> Sweeps:
        parts = (self.way, self.clip, self.crf)
        way, clip, crf = (part[rows] for part in parts)
        return Sweeps(self.ways, self.clips, way, clip, crf, self.kbps[rows], self.vmaf[rows])


@dataclass(frozen=True)
class Fan:
    """Quantiles over clips at positions of an axis.

    Attributes:
        at: CRF, or bitrate in kbit/s, shape (positions,).
        clips: Number of clips at each position, shape (positions,).
        vmaf: VMAF of each of :data:`QUANTILES`, shape (quantiles, positions).
    """

    at: Floats
    clips: Integers
    vmaf: Floats


@dataclass(frozen=True)
class Break:
    """A step to a higher CRF at which a value rises that should fall.

    Attributes:
        clip: Name of the clip.
        way: Way of encoding.
        crf: Lower CRF.
        next_crf: Higher CRF.
        before: Value at the lower CRF.
        after: Value at the higher CRF.
    """

    clip: str
    way: str
    crf: int
    next_crf: int
    before: float
    after: float

    @property
    def rise(self) -> float:
        """How much the value rises."""
        return self.after - self.before


@dataclass(frozen=True)
class BdRate:
    """Bitrate that a way of encoding needs for the same VMAF, relative to another.

    Attributes:
        way: The way.
        against: The way that it is compared with.
        percent: More bitrate in percent, negative for less; NaN where the curves share no VMAF.
        low: Lower end of the 95 % interval over clips; NaN where there is none.
        high: Upper end.
        clips: Clips that were encoded in both ways; 0 if the median curves of different clips are
            compared.
    """

    way: str
    against: str
    percent: float
    low: float
    high: float
    clips: int


def read_sweeps(rows: Iterable[Mapping[str, Any]]) -> Sweeps:
    """Return the curves of FR rows, sorted; of the rows only five numbers each are kept."""
    ways: dict[str, int] = {}
    clips: dict[str, int] = {}
    points: list[tuple[int, int, int, float, float]] = []
    for row in rows:
        way = ways.setdefault(way_of(row), len(ways))
        clip = clips.setdefault(row["src"], len(clips))
        points.append((way, clip, row["crf"], row["bitrate_kbps"], row["vmaf_score"]))
    table = np.array(points, dtype=float).reshape(-1, 5)
    table = table[np.lexsort((table[:, 2], table[:, 1], table[:, 0]))]
    way_of_point, clip_of_point, crf = table[:, :3].T.astype(np.int64)
    return Sweeps(
        list(ways), list(clips), way_of_point, clip_of_point, crf, table[:, 3], table[:, 4]
    )


def way_of(row: Mapping[str, Any]) -> str:
    """Return encoder, preset and extra parameters of an FR row as one text."""
    return " ".join(filter(None, (row["encoder"], row["preset"], row["extra_params"])))


def by_crf(sweeps: Sweeps) -> Fan:
    """Return the quantiles of VMAF at each CRF."""
    crfs = np.unique(sweeps.crf)
    columns = [sweeps.vmaf[sweeps.crf == crf] for crf in crfs]
    return _fan(crfs.astype(float), columns)


def rates_by_crf(sweeps: Sweeps) -> Floats:
    """Return the quantiles of the bitrate in kbit/s at each CRF, shape (quantiles, CRFs)."""
    columns = [sweeps.kbps[sweeps.crf == crf] for crf in np.unique(sweeps.crf)]
    return _fan(np.empty(len(columns)), columns).vmaf


def by_bitrate(sweeps: Sweeps) -> Fan:
    """Return the quantiles of VMAF at bitrates that many clips reach.

    Between the CRFs of a clip its VMAF is interpolated over the logarithm of the bitrate. A clip
    counts at the bitrates between its lowest and its highest only.
    """
    curves = list(sweeps.curves())
    if not curves:
        return _fan(np.empty(0), [])
    rates = np.log(sweeps.kbps)
    at = np.linspace(rates.min(), rates.max(), _GRID)
    values = np.full((len(curves), len(at)), np.nan)
    for row, points in zip(values, curves, strict=True):
        order = np.argsort(rates[points], kind="stable")
        x, y = rates[points][order], sweeps.vmaf[points][order]
        row[:] = np.interp(at, x, y, left=np.nan, right=np.nan)
    reached = np.isfinite(values).sum(axis=0)
    kept = reached >= max(_LEAST_SHARE * len(curves), 1)
    columns = [column[np.isfinite(column)] for column in values[:, kept].T]
    return _fan(np.exp(at[kept]), columns)


def examples(sweeps: Sweeps) -> list[slice]:
    """Return the curves of a few clips, from the one that costs least bits to the dearest.

    They are those at :data:`QUANTILES` of the mean logarithm of the bitrate.
    """
    curves = list(sweeps.curves())
    if not curves:
        return []
    costs = [float(np.log(sweeps.kbps[points]).mean()) for points in curves]
    order = np.argsort(costs, kind="stable")
    chosen = dict.fromkeys(round(q * (len(order) - 1)) for q in QUANTILES)
    return [curves[order[place]] for place in chosen]


def vmaf_breaks(sweeps: Sweeps) -> list[Break]:
    """Return the steps to a higher CRF at which VMAF rises, the largest rise first."""
    return _breaks(sweeps, sweeps.vmaf)


def rate_breaks(sweeps: Sweeps) -> list[Break]:
    """Return the steps to a higher CRF at which the bitrate rises, the largest rise first."""
    return _breaks(sweeps, sweeps.kbps)


def bd_rate(kbps: Floats, vmaf: Floats, other_kbps: Floats, other_vmaf: Floats) -> float:
    """Return Bjøntegaard's rate difference of a curve from another, in percent.

    The logarithm of the bitrate is interpolated over VMAF by piecewise cubics that keep its order
    (PCHIP), and averaged over the VMAF that both curves reach.

    Returns:
        More bitrate at the same VMAF, negative for less; NaN if the curves share no range of VMAF,
        or one of them does not rise with its bitrate.
    """
    own, other = _rate_over_vmaf(kbps, vmaf), _rate_over_vmaf(other_kbps, other_vmaf)
    if own is None or other is None:
        return float("nan")
    low = max(own.x[0], other.x[0])
    high = min(own.x[-1], other.x[-1])
    if low >= high:
        return float("nan")
    area = float(own.integrate(low, high)) - float(other.integrate(low, high))
    return float(np.expm1(area / (high - low)) * 100)


def compare_ways(sweeps: Sweeps) -> list[BdRate]:
    """Return the BD-rate of each way of encoding against the first; none if there is one way.

    Clips that were encoded in both ways are compared one by one, and the median is taken. If there
    are none, the median curves are compared; their interval is by resampling the clips.
    """
    parts = [sweeps.of_way(way) for way in range(len(sweeps.ways))]
    return [_compare(sweeps.ways, part, parts[0], way) for way, part in enumerate(parts) if way]


def _compare(ways: Sequence[str], own: Sweeps, first: Sweeps, way: int) -> BdRate:
    by_clip, first_by_clip = _by_clip(own), _by_clip(first)
    shared = [clip for clip in by_clip if clip in first_by_clip]
    if not shared:
        percent, draws = _of_medians(own, first)
        return BdRate(ways[way], ways[0], percent, *_ends(draws), 0)
    found = np.array([
        bd_rate(*_curve(own, by_clip[c]), *_curve(first, first_by_clip[c])) for c in shared
    ])  # fmt: skip
    found = found[np.isfinite(found)]
    if not len(found):
        nan = float("nan")
        return BdRate(ways[way], ways[0], nan, nan, nan, 0)
    random = np.random.default_rng(0)
    draws = [float(np.median(random.choice(found, len(found)))) for _ in range(_DRAWS)]
    return BdRate(ways[way], ways[0], float(np.median(found)), *_ends(draws), len(found))


def _of_medians(own: Sweeps, first: Sweeps) -> tuple[float, list[float]]:
    tables, random = (_table(own), _table(first)), np.random.default_rng(0)
    draws = [
        _bd_of_tables(*(table[random.integers(len(table), size=len(table))] for table in tables))
        for _ in range(_DRAWS)
    ]
    return _bd_of_tables(*tables), draws


def _bd_of_tables(own: Floats, first: Floats) -> float:
    """Return the BD-rate of median curves; tables have the shape (clips, CRFs, 2)."""
    curves = [np.nanmedian(table, axis=0).T for table in (own, first)]
    return bd_rate(np.exp(curves[0][0]), curves[0][1], np.exp(curves[1][0]), curves[1][1])


def _table(sweeps: Sweeps) -> Floats:
    """Return log-rate and VMAF by clip and CRF, NaN where a clip lacks a CRF."""
    clips, row = np.unique(sweeps.clip, return_inverse=True)
    crfs, column = np.unique(sweeps.crf, return_inverse=True)
    table = np.full((len(clips), len(crfs), 2), np.nan)
    table[row, column] = np.stack([np.log(sweeps.kbps), sweeps.vmaf], axis=1)
    return table


def _by_clip(sweeps: Sweeps) -> dict[int, slice]:
    return {int(sweeps.clip[points.start]): points for points in sweeps.curves()}


def _curve(sweeps: Sweeps, points: slice) -> tuple[Floats, Floats]:
    return sweeps.kbps[points], sweeps.vmaf[points]


def _rate_over_vmaf(kbps: Floats, vmaf: Floats) -> PchipInterpolator | None:
    from scipy.interpolate import PchipInterpolator

    order = np.argsort(kbps, kind="stable")
    rate, quality = np.log(kbps[order]), vmaf[order]
    if len(rate) < _LEAST_CURVE or not np.isfinite(rate).all() or not (np.diff(quality) > 0).all():
        return None
    return PchipInterpolator(quality, rate)


def _breaks(sweeps: Sweeps, values: Floats) -> list[Break]:
    same = (np.diff(sweeps.clip) == 0) & (np.diff(sweeps.way) == 0) & (np.diff(values) > 0)
    found = [
        Break(
            sweeps.clips[sweeps.clip[i]],
            sweeps.ways[sweeps.way[i]],
            int(sweeps.crf[i]),
            int(sweeps.crf[i + 1]),
            float(values[i]),
            float(values[i + 1]),
        )
        for i in np.flatnonzero(same).tolist()
    ]
    return sorted(found, key=lambda step: (-step.rise, step.clip))


def _fan(at: Floats, columns: Sequence[Floats]) -> Fan:
    quantiles = [np.quantile(column, QUANTILES) for column in columns]
    vmaf = np.array(quantiles).reshape(-1, len(QUANTILES)).T
    return Fan(at, np.array([len(column) for column in columns], dtype=np.int64), vmaf)


def _ends(draws: Sequence[float]) -> tuple[float, float]:
    known = np.array(draws)[np.isfinite(draws)]
    if len(known) < len(draws) / 2:
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
