"""Against reference scores of the fork's binary; an extra that needs the shared clips."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

from k150k_pipeline.media.probe import probe
from k150k_pipeline.schemas.features import FEATURES, VALUE_COLUMNS
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf import make_engine
from k150k_pipeline.vmaf.aggregate import aggregate
from k150k_pipeline.vmaf.plans import FULL, IDENTITY

pytestmark = pytest.mark.shared

EXACT = {"cambi": 1e-6, "motion": 5e-5, "motion2": 5e-5, "motion3": 5e-5}
TOLERANCE = {
    **{f: 2e-5 for f in FEATURES if f.startswith(("adm", "vif"))},
    **EXACT,
    "vmaf": 3e-3,
}
NAMES = [f"orig_90000000{i:02d}_540_5s.mp4" for i in range(1, 13)]


@pytest.fixture(scope="module")
def golden(shared):
    return pd.read_csv(shared / "golden/identity.csv").set_index("clip_name")


@pytest.mark.sample(every=3)
@pytest.mark.parametrize("name", NAMES)
def test_identity_plan_matches_the_reference(engine, shared, golden, name):
    score = engine.score(probe(shared / "clips/k150ka_extracted" / name), IDENTITY)
    expected = golden.loc[name]
    assert score.frames == expected["frames"]
    assert (score.clip.width, score.clip.height) == (expected["width"], expected["height"])
    check(dict(zip(VALUE_COLUMNS, aggregate(score.values), strict=True)), expected)


def check(row: dict[str, float], expected: pd.Series) -> None:
    for column in VALUE_COLUMNS:
        tolerance = TOLERANCE.get(column.rsplit("_", 1)[0], 1e-9)
        np.testing.assert_allclose(row[column], expected[column], rtol=0, atol=tolerance)


@pytest.mark.thorough
def test_both_plans_agree_on_a_real_clip(shared, golden):
    name = NAMES[11]
    engine = make_engine(VmafParameters(backend="embedded", threads=os.cpu_count() or 1))
    clip = probe(shared / "clips/k150ka_extracted" / name)
    identity, full = (engine.score(clip, plan).values for plan in (IDENTITY, FULL))
    check(dict(zip(VALUE_COLUMNS, aggregate(full), strict=True)), golden.loc[name])
    for feature in ("cambi", "motion", "motion2", "motion3"):
        assert identity[feature].tolist() == full[feature].tolist()
    for feature in FEATURES:
        difference = abs(identity[feature].mean() - full[feature].mean())
        assert np.isnan(difference) or difference <= TOLERANCE.get(feature, 1e-9), feature
