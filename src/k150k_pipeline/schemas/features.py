"""The locked columns of the features table."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model

SCHEMA_VERSION = 1

METADATA_KEY = b"k150k"
"""Key in the metadata of our parquet files, under which they are described."""

FEATURES: tuple[str, ...] = (
    "adm2",
    "adm_scale0",
    "adm_scale1",
    "adm_scale2",
    "adm_scale3",
    "vif_scale0",
    "vif_scale1",
    "vif_scale2",
    "vif_scale3",
    "motion",
    "motion2",
    "motion3",
    "psnr_y",
    "psnr_cb",
    "psnr_cr",
    "float_ssim",
    "float_ms_ssim",
    "cambi",
    "ciede2000",
    "psnr_hvs",
    "ssimulacra2",
    "vmaf",
)
"""The 22 FULL_FEATURES in the order of the columns."""

VALUE_COLUMNS: tuple[str, ...] = tuple(f"{f}_mean" for f in FEATURES) + tuple(
    f"{f}_std" for f in FEATURES
)
"""The 44 numeric feature columns: all means, then all standard deviations."""

COLUMNS: tuple[str, ...] = ("clip_name", "mos", "width", "height", *VALUE_COLUMNS)
"""All 48 columns of the features parquet, in their locked order."""

MOS_MIN, MOS_MAX = 1.0, 5.0


class _FeatureRowBase(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    clip_name: Annotated[str, Field(min_length=1)]
    mos: Annotated[float, Field(ge=MOS_MIN, le=MOS_MAX)]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]


_value_fields: dict[str, Any] = dict.fromkeys(VALUE_COLUMNS, (float, ...))

FeatureRow: type[_FeatureRowBase] = create_model(
    "FeatureRow", __base__=_FeatureRowBase, **_value_fields
)
"""One row of the features parquet: 48 fields in the order of ``COLUMNS``; NaN is allowed."""
