from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from k150k_pipeline.schemas.features import COLUMNS, FeatureRow

LOCKED = [
    *("adm2", "adm_scale0", "adm_scale1", "adm_scale2", "adm_scale3"),
    *("vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3"),
    *("motion", "motion2", "motion3", "psnr_y", "psnr_cb", "psnr_cr"),
    *("float_ssim", "float_ms_ssim", "cambi", "ciede2000", "psnr_hvs", "ssimulacra2", "vmaf"),
]


def test_columns_are_locked():
    means, stds = [f"{f}_mean" for f in LOCKED], [f"{f}_std" for f in LOCKED]
    assert list(COLUMNS) == ["clip_name", "mos", "width", "height", *means, *stds]
    assert tuple(FeatureRow.model_fields) == COLUMNS
    assert len(COLUMNS) == 48


@pytest.mark.parametrize(("field", "value"), [("mos", 5.1), ("width", 0), ("clip_name", "")])
def test_impossible_rows_are_refused(field, value):
    row = dict.fromkeys(COLUMNS, math.nan) | {"clip_name": "a", "mos": 3.0, "width": 1, "height": 1}
    FeatureRow.model_validate(row)
    with pytest.raises(ValidationError, match=field):
        FeatureRow.model_validate(row | {field: value})
