"""Metrics against scipy, and against definitions written out here, to 1e-12."""

from __future__ import annotations

import math
import warnings
from itertools import combinations

import numpy as np
import pytest
from scipy import optimize, stats

from k150k_pipeline.mos import metrics
from k150k_pipeline.schemas.mos_parameters import FitParameters

EXACT = {"rel": 0, "abs": 1e-12}


def pearson(x, y) -> float:
    mean_x, mean_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    dx, dy = [a - mean_x for a in x], [b - mean_y for b in y]
    covariance = math.fsum(a * b for a, b in zip(dx, dy, strict=True))
    return covariance / math.sqrt(math.fsum(a * a for a in dx) * math.fsum(b * b for b in dy))


def ranks(x) -> list[float]:
    return [sum(b < a for b in x) + (sum(b == a for b in x) + 1) / 2 for a in x]


def tau_b(x, y) -> float:
    agree = ties_x = ties_y = 0
    for (a, c), (b, d) in combinations(zip(x, y, strict=True), 2):
        agree += int(np.sign(a - b) * np.sign(c - d))
        ties_x += a == b
        ties_y += c == d
    pairs = len(x) * (len(x) - 1) // 2
    return agree / math.sqrt((pairs - ties_x) * (pairs - ties_y))


@pytest.fixture(params=["smooth", "ties", "few"])
def pair(request):
    random = np.random.default_rng(5)
    true = random.normal(3, 0.4, 7 if request.param == "few" else 150)
    predicted = true + 0.3 * random.normal(size=len(true))
    if request.param == "ties":
        true, predicted = np.round(true * 5) / 5, np.round(predicted, 1)
    return predicted, true


def test_against_definitions(pair):
    predicted, true = pair
    x, y = predicted.tolist(), true.tolist()
    assert metrics.plcc(*pair) == pytest.approx(pearson(x, y), **EXACT)
    assert metrics.srocc(*pair) == pytest.approx(pearson(ranks(x), ranks(y)), **EXACT)
    assert metrics.krocc(*pair) == pytest.approx(tau_b(x, y), **EXACT)
    squares = math.fsum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    assert metrics.rmse(*pair) == pytest.approx(math.sqrt(squares / len(x)), **EXACT)


def test_against_scipy(pair):
    scores = metrics.score(*pair, FitParameters())
    assert scores["plcc"] == pytest.approx(stats.pearsonr(*pair)[0], **EXACT)
    assert scores["srocc"] == pytest.approx(stats.spearmanr(*pair)[0], **EXACT)
    assert scores["krocc"] == pytest.approx(stats.kendalltau(*pair)[0], **EXACT)
    assert set(scores) == set(metrics.METRICS)


def test_logistic_fit_is_the_published_one(pair):
    """The curve in its published spelling, fitted from its published start."""
    predicted, true = pair

    def curve(x, b1, b2, b3, b4):
        return b2 + (b1 - b2) / (1 + np.exp(-(x - b3) / abs(b4)))

    start = [np.max(true), np.min(true), np.mean(predicted), 0.5]
    with np.errstate(over="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", optimize.OptimizeWarning)
        found, _ = optimize.curve_fit(curve, predicted, true, p0=start, maxfev=20_000)
        mapped = curve(predicted, *found)
    scores = metrics.score(predicted, true, FitParameters())
    assert scores["plcc_logistic"] == pytest.approx(pearson(mapped, true), abs=1e-9)
    assert scores["rmse_logistic"] == pytest.approx(metrics.rmse(mapped, true), abs=1e-9)


def test_logistic_fit_undoes_a_logistic():
    x = np.linspace(1, 5, 200)
    true = metrics.logistic(x, 4.5, 1.5, 3.3, 0.3)
    found = metrics.fit_logistic(x, true, FitParameters())
    assert found is not None
    assert metrics.logistic(x, *found) == pytest.approx(true, abs=1e-9)
    scores = metrics.score(x, true, FitParameters())
    assert scores["plcc_logistic"] == pytest.approx(1, abs=1e-12)
    assert scores["plcc"] < 0.98


@pytest.mark.parametrize(
    ("predicted", "true"),
    [([3.0] * 9, range(9)), (range(9), [3.0] * 9), ([1.0, 2.0], [1.0, 2.0])],
)
def test_undefined_is_nan_not_an_error(predicted, true):
    scores = metrics.score(np.array(predicted, float), np.array(true, float), FitParameters())
    assert all(math.isnan(scores[m]) for m in ("plcc", "srocc", "krocc", "plcc_logistic"))
    assert math.isfinite(scores["rmse"])


def test_fit_that_does_not_converge_is_nan():
    random = np.random.default_rng(0)
    scores = metrics.score(*random.normal(size=(2, 50)), FitParameters(max_evaluations=5))
    assert math.isnan(scores["plcc_logistic"]) and math.isfinite(scores["plcc"])
