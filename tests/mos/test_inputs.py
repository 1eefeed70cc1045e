"""Inputs that mean something: rounding is no input, and digits beyond float32 change nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from k150k_pipeline.mos.export import to_onnx
from k150k_pipeline.mos.models import Head, fit_head
from k150k_pipeline.mos.predict import OnnxHead
from k150k_pipeline.mos.table import build_table, uninformative
from k150k_pipeline.schemas.features import VALUE_COLUMNS
from k150k_pipeline.schemas.mos_parameters import MODEL_KINDS, ColumnParameters, MosHeadParameters

NOISE = ("adm2_mean", "adm2_std", "vif_scale0_mean", "vif_scale0_std")
INFORMATIVE = ("motion_mean", "motion_std", "cambi_mean", "vmaf_mean")


def identity_corpus(clips: int = 400) -> pd.DataFrame:
    """Return features of clips against themselves: perfect scores differ in the last digit only."""
    random = np.random.default_rng(11)
    frame = pd.DataFrame(1.0, index=range(clips), columns=list(VALUE_COLUMNS))
    frame["adm2_mean"] = 1.000001 + random.integers(-3, 4, clips) * 2.3e-16
    frame["vif_scale0_mean"] = 0.999991 + random.integers(-3, 4, clips) * 1.2e-16
    for name in ("adm2_std", "vif_scale0_std"):
        frame[name] = random.integers(0, 5, clips) * 1.1e-16
    for name in INFORMATIVE:
        frame[name] = random.gamma(2, size=clips)
    opinion = 3 + 0.7 * np.tanh(frame["motion_mean"] - frame["cambi_mean"])
    frame["mos"] = np.clip(opinion + 0.4 * random.normal(size=clips), 1, 5)
    frame.insert(0, "clip_name", [f"orig_{1000 + i}_540_5s.mp4" for i in range(clips)])
    return frame.assign(width=960, height=540)


@pytest.fixture(params=MODEL_KINDS)
def head(request, tiny: MosHeadParameters) -> Head:
    frame = identity_corpus()
    table = build_table(frame, pd.DataFrame(), ColumnParameters(), "konvid-150k")
    return fit_head(table.frame, table.inputs, request.param, tiny, tiny.seeds)


def test_columns_that_vary_by_rounding_are_dropped_and_listed():
    frame = identity_corpus()
    table = build_table(frame, pd.DataFrame(), ColumnParameters(), "konvid-150k")
    assert {table.dropped.get(name) for name in NOISE} == {"rounding"}
    assert table.inputs == [c for c in VALUE_COLUMNS if c in INFORMATIVE]


def test_rounding_is_measured_against_the_size_of_the_values():
    steps = np.arange(5.0)
    frame = pd.DataFrame(
        {
            "large": 1e6 + 1e-5 * steps, "kept": 1e6 + steps, "small": 1e-6 * steps,
            "score_mean": 100 + steps, "score_std": 1e-8 * steps, "around_0": 1e-16 * (steps - 2),
        }
    )  # fmt: skip
    found = uninformative(frame, frame.columns)
    assert found == dict.fromkeys(("large", "score_std", "around_0"), "rounding")


def test_metadata_that_hardly_vary_are_no_input():
    """Clips of 5 s, one of them cut: nothing can be learned from their length."""
    seconds = np.where(np.arange(100) == 7, 4.6, 5.0)
    frame = pd.DataFrame({"duration_s": seconds, "framerate": [25.0, 30.0] * 50, "x": seconds})
    assert uninformative(frame, frame.columns) == {"duration_s": "hardly varies"}


@pytest.mark.parametrize("spoil", ["float32", "12 digits"])
def test_digits_that_a_table_may_lose_change_no_prediction(head, spoil):
    frame = identity_corpus()
    names = list(VALUE_COLUMNS)
    spoilt = frame.copy()
    if spoil == "float32":
        spoilt[names] = frame[names].astype(np.float32)
    else:
        spoilt[names] = frame[names].map(lambda value: float(f"{value:.12g}"))
    assert (spoilt[names] != frame[names]).any(axis=None), "the table must have lost digits"
    for predict in (head.predict, OnnxHead(to_onnx(head, {})).predict):
        assert np.ptp(predict(frame)) > 0.3
        assert np.abs(predict(spoilt) - predict(frame)).max() <= 1e-3


def test_values_beyond_float32_are_missing(tiny):
    frame = identity_corpus()
    frame["huge"] = 1e40 * frame["motion_mean"]
    assert uninformative(frame, ["huge"]) == {"huge": "empty"}
    frame.loc[50:, "huge"] = frame.loc[50:, "cambi_mean"]
    head = fit_head(frame, ["huge", "motion_mean"], "ridge", tiny, (0,))
    assert np.isfinite(head.predict(frame)).all() and np.isfinite(head.preparation.high).all()


def test_trained_range_holds_every_training_value(tiny):
    frame = identity_corpus()
    frame["lattice"] = np.arange(400) % 7 / 10
    head = fit_head(frame, [*INFORMATIVE, "lattice"], "ridge", tiny, (0,))
    values = frame[list(head.preparation.columns)].to_numpy(np.float32).astype(float)
    assert (values >= head.preparation.low).all() and (values <= head.preparation.high).all()
    assert "motion_mean" in head.preparation.columns
    exact = frame[list(INFORMATIVE)].max().to_numpy()
    assert not set(exact) & set(head.preparation.high), "no value of a single clip is in the file"
