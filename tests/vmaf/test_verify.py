from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.schemas.features import FEATURES
from k150k_pipeline.vmaf import ClipScore
from k150k_pipeline.vmaf.verify import NATIVE_TOLERANCES, PRINTED_DIGIT, TOLERANCES, compare_plans

CLIP = ClipInfo(Path("a.mp4"), 0, 960, 540, "yuv420p", 8, False, 5, "h264")
SCORE = ClipScore(CLIP, 5, {f: np.arange(5.0) for f in FEATURES})


def moved(feature: str, by: float) -> ClipScore:
    return replace(SCORE, values={**SCORE.values, feature: SCORE.values[feature] + by})


@pytest.mark.parametrize("feature", FEATURES)
def test_a_difference_beyond_the_tolerance_is_named_with_both_values(feature):
    by = TOLERANCES[feature] + 1e-6
    found = compare_plans(SCORE, moved(feature, by))
    assert [d.column for d in found] == [f"{feature}_mean"]
    assert "2.0" in str(found[0]) and repr(2.0 + by)[:6] in str(found[0])


@pytest.mark.parametrize("feature", ["adm2", "vif_scale3", "vmaf", "psnr_y"])
def test_a_difference_within_the_tolerance_is_agreement(feature):
    assert compare_plans(SCORE, moved(feature, TOLERANCES[feature] * 0.9)) == []


@pytest.mark.parametrize("feature", ["cambi", "motion", "motion2", "motion3"])
def test_one_printed_digit_in_a_measured_feature_is_permitted_to_the_native_engine_alone(feature):
    other = moved(feature, PRINTED_DIGIT * 0.9)
    assert compare_plans(SCORE, other)[0].column == f"{feature}_mean"
    assert compare_plans(SCORE, other, NATIVE_TOLERANCES) == []
    assert compare_plans(SCORE, moved(feature, PRINTED_DIGIT * 1.5), NATIVE_TOLERANCES)


def test_nan_agrees_with_nan_alone():
    empty = moved("ciede2000", np.nan)
    assert compare_plans(empty, empty) == []
    assert [d.column for d in compare_plans(SCORE, empty)] == ["ciede2000_mean", "ciede2000_std"]
