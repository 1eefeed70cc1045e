"""Intervals: the same draws, resampled in the plainest way and measured by scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from k150k_pipeline.mos import intervals, metrics

MEASURES = {
    "plcc": lambda x, y: stats.pearsonr(x, y)[0],
    "srocc": lambda x, y: stats.spearmanr(x, y)[0],
    "krocc": lambda x, y: stats.kendalltau(x, y)[0],
    "rmse": lambda x, y: float(np.sqrt(np.mean((x - y) ** 2))),
}


def pair(kind: str, clips: int, random: np.random.Generator):
    """Return predictions and MOS: all different, with ties on either side, or of few values."""
    true = random.normal(3, 0.5, clips)
    predicted = true + random.normal(size=clips)
    if kind in ("tied labels", "ties", "few values"):
        true = np.round(true * 5) / 5
    if kind in ("tied predictions", "ties", "few values"):
        predicted = np.round(predicted, 1)
    if kind == "few values":
        true, predicted = np.round(true), np.round(predicted)
    return predicted, true


@pytest.mark.parametrize(
    "kind", ["distinct", "tied labels", "tied predictions", "ties", "few values"]
)
@pytest.mark.parametrize("clips", [3, 4, 5, 17, 64, 65, 300])
def test_every_draw_has_the_scores_that_scipy_has(kind, clips):
    random = np.random.default_rng(clips)
    predicted, true = pair(kind, clips, random)
    pairs = intervals._Pairs(predicted, true)
    weights = random.integers(0, 4, size=(25, clips)).astype(float)
    weights[0], weights[1] = 1, random.multinomial(clips, np.full(clips, 1 / clips))
    found = pairs.measure(weights)
    compared = 0
    for draw, counts in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(clips), counts)
        x, y = predicted[rows], true[rows]
        if len(rows) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
            assert math.isnan(found["krocc"][draw])
            continue
        for name, measure in MEASURES.items():
            assert found[name][draw] == pytest.approx(measure(x, y), abs=1e-11), name
        compared += 1
    assert compared >= 10


def test_intervals_cover_and_widen_with_fewer_contents():
    random = np.random.default_rng(2)
    true = random.normal(3, 0.4, 600)
    predicted = true + 0.4 * random.normal(size=600)
    alone = intervals.bootstrap(predicted, true, [str(i) for i in range(600)], draws=200, seed=0)
    low, high = alone["plcc"]
    assert low < metrics.plcc(predicted, true) < high and high - low < 0.15
    twice = intervals.bootstrap(
        np.tile(predicted, 3), np.tile(true, 3), [str(i) for i in range(600)] * 3, draws=200, seed=0
    )
    assert twice["plcc"] == pytest.approx(alone["plcc"], abs=0.02), "copies are no new evidence"


def test_intervals_are_percentiles_of_the_same_metrics():
    """Resampled here in the plainest way, with the same draws."""
    random = np.random.default_rng(6)
    true = np.round(random.normal(3, 0.4, 90), 1)
    predicted, groups = true + random.normal(size=90), [f"g{i // 3}" for i in range(90)]
    found = intervals.bootstrap(predicted, true, groups, draws=40, seed=3)
    names = sorted(set(groups))
    again, values = np.random.default_rng(3), {name: [] for name in found}
    for _ in range(40):
        chosen = again.integers(30, size=30)
        rows = [r for c in chosen for r in range(90) if groups[r] == names[c]]
        for name in values:
            values[name].append(getattr(metrics, name)(predicted[rows], true[rows]))
    for name, expected in values.items():
        assert found[name] == pytest.approx(np.percentile(expected, [2.5, 97.5]), abs=1e-12)


def test_blocks_of_draws_are_the_draws_of_one_block(monkeypatch):
    random = np.random.default_rng(1)
    predicted, true = pair("ties", 50, random)
    groups = [f"g{i % 20}" for i in range(50)]
    whole = intervals.bootstrap(predicted, true, groups, draws=40, seed=0)
    monkeypatch.setattr(intervals, "_BLOCK", 150)
    assert intervals.bootstrap(predicted, true, groups, draws=40, seed=0) == pytest.approx(whole)


@pytest.mark.parametrize(
    ("predicted", "true"),
    [([3.0] * 9, range(9)), (range(9), [3.0] * 9), ([math.nan, 1, 2], [1, 2, 3]), ([1.0], [2.0])],
)
def test_undefined_is_nan(predicted, true):
    arrays = np.array(predicted, float), np.array(true, float)
    groups = [str(i) for i in range(len(predicted))]
    found = intervals.bootstrap(*arrays, groups, draws=30, seed=0)
    assert all(math.isnan(end) for name in ("plcc", "srocc", "krocc") for end in found[name])
    assert math.isfinite(found["rmse"][0]) == bool(np.isfinite(arrays[0]).all())


def test_one_content_has_no_width():
    predicted, true = pair("distinct", 12, np.random.default_rng(0))
    found = intervals.bootstrap(predicted, true, ["one"] * 12, draws=30, seed=0)
    for name, measure in MEASURES.items():
        assert found[name] == pytest.approx([measure(predicted, true)] * 2, abs=1e-12)


def test_without_ranks_the_others_are_the_same():
    predicted, true = pair("ties", 40, np.random.default_rng(4))
    groups = [str(i // 2) for i in range(40)]
    whole = intervals.bootstrap(predicted, true, groups, draws=50, seed=0)
    part = intervals.bootstrap(predicted, true, groups, draws=50, seed=0, ranks=False)
    assert part == {name: whole[name] for name in ("plcc", "rmse")}
