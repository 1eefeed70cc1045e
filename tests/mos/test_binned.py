"""What the figures of a judged model show: steps of labels, cells and bins."""

from __future__ import annotations

import numpy as np
import pytest

from k150k_pipeline.mos import binned


def labels(clips: int, votes: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    ballots = np.rint(random.normal(3, 0.6, clips)[:, None] + random.normal(0, 0.9, (clips, votes)))
    return np.clip(ballots, 1, 5).mean(axis=1)


@pytest.mark.parametrize("votes", [1, 2, 3, 4, 5, 7, 10])
def test_step_of_a_lattice_is_that_of_the_votes(votes):
    assert binned.lattice_step(labels(500, votes)) == pytest.approx(1 / votes)
    rounded = np.round(labels(500, votes), 2)
    assert binned.lattice_step(rounded) == pytest.approx(1 / votes), "tables have two decimals"


def test_labels_of_many_votes_are_on_no_lattice():
    assert binned.lattice_step(labels(500, 89)) is None
    spread, step = binned.spread_labels(labels(500, 89))
    assert step == 0 and (spread == labels(500, 89)).all()


def test_some_clips_may_have_more_votes():
    mixed = np.concatenate([labels(450, 5), labels(50, 6, seed=1)])
    assert binned.lattice_step(mixed) == pytest.approx(0.2)


def test_spread_labels_leave_no_step_empty_and_none_double():
    """Cells of any width get their share: without the spread, cells of 0.1 alternate with 0."""
    true = labels(20_000, 5)
    spread, step = binned.spread_labels(true)
    assert step == pytest.approx(0.2) and np.abs(spread - true).max() <= 0.1 + 1e-12
    cells = np.arange(2.5, 3.5, 0.1)
    assert np.histogram(true, cells + 0.05)[0].min() == 0
    counts = np.histogram(spread, cells + 0.05)[0]
    assert counts.min() > 0.8 * counts.max() > 0
    assert (binned.spread_labels(true)[0] == spread).all(), "the same figure every time"


def test_equal_bins_have_equal_numbers_of_clips_and_few_clips_have_none():
    true = labels(800, 5)
    predicted = 3 + 0.4 * (true - 3) + np.random.default_rng(1).normal(0, 0.2, 800)
    bins = binned.equal_bins(predicted, true)
    rows = np.argsort(predicted)[:100]
    assert [b.clips for b in bins] == [100] * 8
    assert bins[0].predicted == pytest.approx(predicted[rows].mean())
    assert bins[0].bias == pytest.approx((predicted - true)[rows].mean())
    assert binned.equal_bins(predicted[:12], true[:12]) == []
    assert binned.equal_bins(np.full(800, 3.0), true) == []


def test_bins_of_one_width_hold_every_clip_once():
    true = labels(500, 5)
    predicted = true + 0.1
    bins = binned.bins_by(true, predicted, true, 0.25)
    assert sum(b.clips for b in bins) == 500
    assert all(b.low <= b.label < b.high for b in bins)
    assert all(b.bias == pytest.approx(0.1) and b.rmse == pytest.approx(0.1) for b in bins)
    (single,) = binned.bins_by(np.array([5.0]), np.array([4.0]), np.array([5.0]), 0.25)
    assert (single.low, single.clips) == (5.0, 1) and np.isnan(single.reach)


def test_cells_count_clips_by_row_and_column():
    cells = binned.count_cells(
        np.array([0.5, 0.6, 1.5]), np.array([0.5, 0.5, 1.5]), np.arange(3.0), np.arange(3.0)
    )
    assert cells.counts.tolist() == [[2, 0], [0, 1]] and cells.x.tolist() == [0.5, 1.5]
