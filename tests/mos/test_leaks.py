"""Tables whose best possible score is known: with signal, without, and with a leak."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from k150k_pipeline.mos import gate
from k150k_pipeline.mos.ceiling import label_ceiling
from k150k_pipeline.mos.finished import NOTHING_KEPT
from k150k_pipeline.pipelines.mos_head.nodes import cross_validate, make_table, train
from k150k_pipeline.schemas.features import VALUE_COLUMNS
from k150k_pipeline.schemas.mos_parameters import MosHeadParameters

CLIPS, VOTES = 3000, 5
SMALL = {
    "models": ["ridge", "trees"], "seeds": [0, 1], "bootstrap_draws": 20, "importance_rows": 50,
    "importance_repeats": 1, "trees": {"iterations": 40, "min_leaf": 20, "column_share": 1.0},
    "splits": {"folds": 2, "held_out": 0.3},
}  # fmt: skip


def table(signal: float) -> tuple[pd.DataFrame, np.ndarray]:
    """Return features with the mean of five votes, and the true opinions."""
    random = np.random.default_rng(21)
    values = random.normal(size=(CLIPS, len(VALUE_COLUMNS)))
    frame = pd.DataFrame(values, columns=list(VALUE_COLUMNS))
    true = 3 + signal * np.tanh(values[:, 0] - 0.7 * values[:, 1])
    votes = np.clip(np.rint(true[:, None] + 0.89 * random.normal(size=(CLIPS, VOTES))), 1, 5)
    frame.insert(0, "clip_name", [f"orig_{100_000 + i}_540_5s.mp4" for i in range(CLIPS)])
    return frame.assign(mos=votes.mean(axis=1), width=960, height=540), true


def verdict_of(frame: pd.DataFrame, **change: object) -> dict:
    parameters = MosHeadParameters.model_validate({**SMALL, **change})
    features = pa.Table.from_pandas(frame, preserve_index=False)
    made, facts = make_table(features, pd.DataFrame(), parameters)
    rows = made.to_pandas()
    results = [cross_validate(rows, facts, parameters, kind=kind) for kind in ("ridge", "trees")]
    return train(rows, facts, parameters, NOTHING_KEPT, *results)[1]


def test_known_function_is_found_within_two_hundredths_of_the_optimum():
    frame, true = table(signal=0.6)
    verdict = verdict_of(frame)
    optimum = stats.pearsonr(true, frame["mos"])[0]
    assert abs(verdict["scores"]["ensemble"]["plcc"] - optimum) <= 0.02
    assert abs(verdict["ceiling"]["plcc"] - optimum) <= 0.03
    assert verdict["verdict"] == "HOLD" and not any("leak" in r for r in verdict["reasons"])


def test_table_without_signal_is_held():
    frame, _ = table(signal=0.0)
    verdict = verdict_of(frame)
    assert verdict["verdict"] == "HOLD" and abs(verdict["scores"]["ensemble"]["plcc"]) < 0.15
    assert not any("column" in reason for reason in verdict["reasons"])


@pytest.mark.parametrize("noise", [0.05, 0.15])
def test_noisy_copy_of_the_label_is_held_and_named(noise):
    frame, _ = table(signal=0.6)
    leak = frame["mos"] + noise * np.random.default_rng(1).normal(size=CLIPS)
    verdict = verdict_of(frame.assign(saliency=leak), columns={"extra": ["saliency"]})
    assert verdict["scores"]["mean"]["plcc"] > 0.95 > 0.85 > verdict["ceiling"]["plcc"]
    assert verdict["verdict"] == "HOLD"
    reasons = "\n".join(verdict["reasons"])
    assert "above what these labels allow" in reasons and "look for a leak" in reasons
    assert "column 'saliency' alone reaches" in reasons
    assert next(iter(verdict["columns_alone"])) == "saliency"
    failed = [check["name"] for check in verdict["checks"] if not check["passed"]]
    assert failed == ["plcc ceiling", "srocc ceiling"]
    assert "saliency" in gate.describe(verdict)


def test_perfect_predictor_is_rarely_above_the_ceiling():
    """Its luck on the judged clips is part of the interval."""
    random = np.random.default_rng(8)
    true = random.normal(3, 0.4, 20_000)
    labels = true + random.normal(size=len(true)) * 0.93 / np.sqrt(5)
    full = np.ones(2000)
    ceiling = label_ceiling(labels[:2000], 5 * full, 0.93 * full, "test")
    for judged in (60, 150, 600):
        highest, above = ceiling.highest(judged), 0
        for _ in range(200):
            rows = random.choice(len(true), judged, replace=False)
            pair = true[rows], labels[rows]
            found = stats.pearsonr(*pair)[0], stats.spearmanr(*pair)[0]
            above += any(score > high for score, high in zip(found, highest, strict=True))
        assert above <= 20, "about 3 % of 200 for each of two scores"
        assert highest[0] < ceiling.plcc + 2.5 / np.sqrt(judged)


def test_labels_without_error_allow_every_score():
    labels = np.random.default_rng(1).normal(3, 0.3, 300)
    ceiling = label_ceiling(labels, np.ones(300), np.zeros(300), "test")
    assert min(ceiling.highest(100)) > 1 - 1e-6 and min(ceiling.highest(1)) > 1 - 1e-6
