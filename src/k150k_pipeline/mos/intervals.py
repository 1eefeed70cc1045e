"""95 % intervals by resampling contents: values are ranked once, a draw is a weight per clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from k150k_pipeline.mos.types import Floats, Integers

_BLOCK = 1 << 17  # weights at a time: they fit the cache of a core
_MIN_PAIRS = 3
_OF_VALUES, _OF_RANKS = ("plcc", "rmse"), ("srocc", "krocc")


def bootstrap(
    predicted: Floats,
    true: Floats,
    groups: Sequence[str],
    *,
    draws: int,
    seed: int,
    ranks: bool = True,
) -> dict[str, list[float]]:
    """Return 95 % intervals by resampling contents, as clips of one content are not independent.

    Args:
        predicted: Predictions, shape (clips,).
        true: MOS, shape (clips,).
        groups: Content of each clip.
        draws: Number of resamples.
        seed: Seed of the resampling.
        ranks: Whether SROCC and KROCC are wanted, which take most of the time.

    Returns:
        Lower and upper end per metric, without the two after the logistic fit; NaN where a metric
        is undefined.
    """
    if not (np.isfinite(predicted).all() and np.isfinite(true).all()):
        return {name: [float("nan")] * 2 for name in _OF_RANKS * ranks + _OF_VALUES}
    pairs = _Pairs(predicted, true, ranks)
    with threadpool_limits(1):  # products this small are slower on all threads of BLAS
        blocks = [pairs.measure(weights) for weights in draw_weights(groups, draws, seed)]
    return {name: _interval(np.concatenate([b[name] for b in blocks])) for name in blocks[0]}


def draw_weights(groups: Sequence[str], draws: int, seed: int) -> Iterator[Floats]:
    """Yield how often each clip is in each resample, in blocks of shape (draws, clips)."""
    random = np.random.default_rng(seed)
    names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    size = max(_BLOCK // len(codes), 1)
    for first in range(0, draws, size):
        block = min(size, draws - first)
        chosen = random.integers(len(names), size=(block, len(names)))
        chosen += np.arange(block)[:, None] * len(names)
        counts = np.bincount(chosen.ravel(), minlength=block * len(names))
        yield _take(counts.reshape(block, len(names)).astype(float), codes)


class _Pairs:
    """Predictions and MOS, prepared for many weightings.

    Args:
        predicted: Predictions, shape (clips,).
        true: MOS, shape (clips,).
        ranks: Whether SROCC and KROCC are measured too.
    """

    def __init__(self, predicted: Floats, true: Floats, ranks: bool = True) -> None:
        x, y = predicted - predicted.mean(), true - true.mean()
        self._moments = np.stack([x, y, x * y, x * x, y * y, (predicted - true) ** 2], axis=1)
        self._ranked = _Ranked.of(predicted), _Ranked.of(true)
        self._order = _Order(*self._ranked) if ranks else None

    def measure(self, weights: Floats) -> dict[str, Floats]:
        """Return each metric of weighted clips, shape (draws,); NaN where it is undefined.

        Args:
            weights: Whole numbers, shape (draws, clips).
        """
        total = weights.sum(axis=1)
        sizes = [ranked.sizes(weights) for ranked in self._ranked]
        ties = [_pairs(size).sum(axis=1) for size in sizes]
        vary = np.logical_and(*(_pairs(total) > tied for tied in ties))
        with np.errstate(invalid="ignore", divide="ignore"):
            found = self._of_values(weights, total)
            if self._order is not None:
                found["srocc"] = self._of_ranks(weights, total, sizes)
                krocc = self._order.agreement(weights, _pairs(total), *ties)
                found["krocc"] = np.where(total < _MIN_PAIRS, np.nan, krocc)
        return {name: np.where(vary | (name == "rmse"), v, np.nan) for name, v in found.items()}

    def _of_values(self, weights: Floats, total: Floats) -> dict[str, Floats]:
        x, y, xy, xx, yy, squares = (weights @ self._moments / total[:, None]).T
        correlation = (xy - x * y) / np.sqrt((xx - x * x) * (yy - y * y))
        return {"plcc": correlation, "rmse": np.sqrt(squares)}

    def _of_ranks(self, weights: Floats, total: Floats, sizes: list[Floats]) -> Floats:
        middle = (total[:, None] + 1) / 2
        dx, dy = (
            ranked.spread(np.cumsum(size, axis=1) - size / 2 + 0.5 - middle)
            for ranked, size in zip(self._ranked, sizes, strict=True)
        )
        products = [_weighted(weights, a, b) for a, b in ((dx, dy), (dx, dx), (dy, dy))]
        correlation: Floats = products[0] / np.sqrt(products[1] * products[2])
        return correlation


class _Order:
    """In which pairs of clips predictions and MOS have the same order.

    Args:
        predicted: Predictions.
        true: MOS.
    """

    def __init__(self, predicted: _Ranked, true: _Ranked) -> None:
        self._both = _Ranked.of(predicted.codes * true.distinct + true.codes)
        fewer, more = sorted((predicted, true), key=lambda ranked: ranked.distinct)
        self._levels = list(_levels(more.codes, fewer.codes))

    def agreement(self, weights: Floats, pairs: Floats, tied: Floats, tied_too: Floats) -> Floats:
        """Return Kendall's tau-b of weighted clips, shape (draws,).

        Args:
            weights: Whole numbers, shape (draws, clips).
            pairs: Number of pairs, shape (draws,).
            tied: Number of these with equal predictions, shape (draws,).
            tied_too: Number of these with equal MOS, shape (draws,).
        """
        tied_in_both = _pairs(self._both.sizes(weights)).sum(axis=1)
        discordant = np.sum([level.count(weights) for level in self._levels], axis=0)
        difference = pairs - tied - tied_too + tied_in_both - 2 * discordant
        tau: Floats = difference / np.sqrt(pairs - tied) / np.sqrt(pairs - tied_too)
        return tau


@dataclass(frozen=True)
class _Ranked:
    """Values, sorted once.

    Attributes:
        codes: Number of each value among the distinct ones, in their order, shape (clips,).
        order: Rows by value, shape (clips,).
        starts: Where each distinct value starts in this order, shape (distinct,).
    """

    codes: Integers
    order: Integers
    starts: Integers

    @classmethod
    def of(cls, values: Floats | Integers) -> _Ranked:
        _, codes, sizes = np.unique(values, return_inverse=True, return_counts=True)
        return cls(codes, np.argsort(codes, kind="stable"), np.cumsum(sizes) - sizes)

    @property
    def distinct(self) -> int:
        return len(self.starts)

    def sizes(self, weights: Floats) -> Floats:
        """Return the weight of each distinct value, shape (draws, distinct)."""
        ordered = _take(weights, self.order)
        if self.distinct == len(self.order):
            return ordered
        return np.add.reduceat(ordered, self.starts, axis=1)

    def spread(self, by_value: Floats) -> Floats:
        """Return what each distinct value has for each clip, shape (draws, clips)."""
        return _take(by_value, self.codes)


@dataclass(frozen=True)
class _Level:
    """Pairs of clips that are told apart by one binary digit of their ranks.

    Attributes:
        higher: Rows whose digit is 1, in order, shape (higher,).
        lower: Rows whose digit is 0 and that follow one of ``higher``, shape (lower,).
        first: For each of ``lower``, the first of ``higher`` to pair it with.
        last: For each of ``lower``, the end of those to pair it with.
    """

    higher: Integers
    lower: Integers
    first: Integers
    last: Integers

    def count(self, weights: Floats) -> Floats:
        """Return the weight of the pairs, shape (draws,)."""
        until = np.zeros((len(weights), len(self.higher) + 1))
        np.cumsum(_take(weights, self.higher), axis=1, out=until[:, 1:])
        between = _take(until, self.last)
        between -= _take(until, self.first)
        paired: Floats = np.einsum("dc,dc->d", _take(weights, self.lower), between)
        return paired


def _levels(first: Integers, second: Integers) -> Iterator[_Level]:
    """Yield the pairs in which the clip with less of ``first`` has more of ``second``.

    Every such pair is on one level: that of the highest binary digit in which the two ranks of
    ``second`` differ. There are as many levels as the number of distinct ranks has digits.
    """
    rows = np.lexsort((second, first))  # of equal values of first, no pair is out of order
    for digit in reversed(range(int(second.max(initial=0)).bit_length())):
        rows = rows[np.argsort(second[rows] >> (digit + 1), kind="stable")]
        prefix, is_higher = second[rows] >> (digit + 1), (second[rows] >> digit & 1).astype(bool)
        seen = np.cumsum(is_higher)
        starts = np.searchsorted(prefix, prefix)  # of the clips that share the digits before
        first_seen = seen[starts] - is_higher[starts]
        paired = ~is_higher & (seen > first_seen)
        yield _Level(rows[is_higher], rows[paired], first_seen[paired], seen[paired])


def _take(values: Floats, columns: Integers) -> Floats:
    taken: Floats = np.take(values, columns, axis=1)  # three times as fast as an index
    return taken


def _pairs(counts: Floats) -> Floats:
    return counts * (counts - 1) / 2


def _weighted(weights: Floats, one: Floats, other: Floats) -> Floats:
    total: Floats = np.einsum("dc,dc,dc->d", weights, one, other)
    return total


def _interval(values: Floats) -> list[float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return [float("nan"), float("nan")]
    return [float(end) for end in np.percentile(known, [2.5, 97.5])]
