"""Pictures of labels on a lattice, of few clips, and of predictions that do not vary."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from k150k_pipeline.mos import pictures
from k150k_pipeline.schemas.mos_parameters import FitParameters


def labels(clips: int, votes: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    ballots = np.rint(random.normal(3, 0.6, clips)[:, None] + random.normal(0, 0.9, (clips, votes)))
    return np.clip(ballots, 1, 5).mean(axis=1)


@pytest.mark.parametrize("votes", [1, 2, 3, 4, 5, 7, 10])
def test_step_of_a_lattice_is_that_of_the_votes(votes):
    assert pictures.lattice_step(labels(500, votes)) == pytest.approx(1 / votes)
    rounded = np.round(labels(500, votes), 2)
    assert pictures.lattice_step(rounded) == pytest.approx(1 / votes), "tables have two decimals"


def test_labels_of_many_votes_are_on_no_lattice():
    assert pictures.lattice_step(labels(500, 89)) is None
    spread, step = pictures.spread_labels(labels(500, 89))
    assert step == 0 and (spread == labels(500, 89)).all()


def test_some_clips_may_have_more_votes():
    mixed = np.concatenate([labels(450, 5), labels(50, 6, seed=1)])
    assert pictures.lattice_step(mixed) == pytest.approx(0.2)


def test_spread_labels_leave_no_step_empty_and_none_double():
    """Cells of any width get their share: without the spread, cells of 0.1 alternate with 0."""
    true = labels(20_000, 5)
    spread, step = pictures.spread_labels(true)
    assert step == pytest.approx(0.2) and np.abs(spread - true).max() <= 0.1 + 1e-12
    cells = np.arange(2.5, 3.5, 0.1)
    assert np.histogram(true, cells + 0.05)[0].min() == 0
    counts = np.histogram(spread, cells + 0.05)[0]
    assert counts.min() > 0.8 * counts.max() > 0
    assert (pictures.spread_labels(true)[0] == spread).all(), "the same picture every time"


def test_cells_of_the_density_are_centred_on_the_steps():
    true = labels(4000, 5)
    figure = pictures.predicted_against_true(np.clip(true + 0.1, 1, 5), true, FitParameters(), "t")
    mesh = figure.axes[0].collections[0]
    edges = np.unique(mesh.get_coordinates()[:, 0, 1])
    np.testing.assert_allclose(edges, np.arange(0.9, 5.2, 0.2), atol=1e-9)


def test_residuals_are_binned_by_equal_numbers_of_clips_and_not_at_all_for_few():
    true = labels(800, 5)
    predicted = 3 + 0.4 * (true - 3) + np.random.default_rng(1).normal(0, 0.2, 800)
    (line,) = pictures.residuals(predicted, true, "t").axes[0].containers
    x, y = line.lines[0].get_data()
    rows = np.argsort(predicted)[:100]
    assert len(x) == 8 and x[0] == pytest.approx(predicted[rows].mean())
    assert y[0] == pytest.approx((predicted - true)[rows].mean()), "of the labels as they are"
    assert not pictures.residuals(predicted[:12], true[:12], "t").axes[0].containers


@pytest.mark.parametrize("clips", [1, 2, 12, 4000])
@pytest.mark.parametrize("what", ["predictions", "labels"])
def test_constant_values_are_drawn_without_a_warning(clips, what):
    predicted, true = np.full(clips, 3.0), labels(clips, 5)
    if what == "labels":
        predicted, true = true, predicted
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = pictures.predicted_against_true(predicted, true, FitParameters(), "t")
        other = pictures.residuals(predicted, true, "t")
        one.canvas.draw()
        other.canvas.draw()
    words = [text.get_text() for text in one.axes[0].texts]
    assert clips < 4 or what == "labels" or words == ["all predictions are equal"]
    assert clips >= 4 or words == ["the logistic fit found no curve"]


def test_undefined_folds_are_counted():
    folds = [{"seed": "ensemble", "plcc": value} for value in (0.5, np.nan, np.nan)]
    figure = pictures.fold_boxes([{"kind": "ridge", "scores": folds}], "t")
    assert [text.get_text() for text in figure.axes[0].texts] == ["2 of 3\nundefined"]
