"""Rows of the FR corpus: one clip at one CRF, scored against its own decoded upload."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from k150k_pipeline.schemas.features import MOS_MAX, MOS_MIN

FR_SCHEMA_VERSION = 3

CANONICAL_6: tuple[str, ...] = (
    "adm2",
    "vif_scale0",
    "vif_scale1",
    "vif_scale2",
    "vif_scale3",
    "motion2",
)
"""The features of the FR predictors, in the order of the columns."""

SCORED: tuple[str, ...] = (*CANONICAL_6, "vmaf")
"""The features that are scored for every frame of every encode."""

STATISTICS: tuple[str, ...] = (
    "qp_mean",
    "qp_std",
    "bits_mean",
    "bits_std",
    "mv_mean",
    "mv_std",
    "itex_mean",
    "ptex_mean",
    "intra_ratio",
    "skip_ratio",
)
"""An encoder's own statistics of an encode; their keys have the prefix ``enc_internal_``."""

CAVEAT = (
    "The reference of every row is the decoded upload itself, not a pristine master. Whatever the "
    "upload already carried (transcoding, noise, blockiness, banding, chroma subsampling) is in "
    "the reference and so in every score: these scores measure the distance from an already "
    "distorted source. Within one clip vmaf_score ranks the CRFs; its absolute value does not "
    "compare with rows whose reference is a master. Stratify by fr_from_nr when corpora are mixed."
)
"""What a user of FR rows must know; it is written into the report."""


class _FrRowHead(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    schema_version: Literal[3]
    run_id: Annotated[str, Field(min_length=1)]
    timestamp: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$")]
    src: Annotated[str, Field(min_length=1)]
    src_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    pix_fmt: Literal["yuv420p", "yuv420p10le"]
    framerate: Annotated[float, Field(gt=0)]
    duration_s: Annotated[float, Field(gt=0)]
    encoder: str
    encoder_version: str
    preset: str
    crf: int
    extra_params: str
    encode_path: str
    encode_size_bytes: Annotated[int, Field(gt=0)]
    bitrate_kbps: Annotated[float, Field(gt=0)]
    encode_time_ms: Annotated[float, Field(ge=0)]
    vmaf_score: Annotated[float, Field(ge=0, le=100)]
    vmaf_model: str
    score_time_ms: Annotated[float, Field(ge=0)]
    ffmpeg_version: str
    vmaf_binary_version: str
    exit_status: Literal[0]
    clip_mode: Literal["full"]
    hdr_transfer: str
    hdr_primaries: str
    hdr_forced: bool
    shot_count: Annotated[int, Field(ge=0)]
    shot_avg_duration_sec: Annotated[float, Field(ge=0)]
    shot_duration_std_sec: Annotated[float, Field(ge=0)]


_numbers: dict[str, Any] = dict.fromkeys(
    (
        *(f"{feature}_mean" for feature in CANONICAL_6),
        *(f"{feature}_std" for feature in CANONICAL_6),
        *(f"enc_internal_{name}" for name in STATISTICS),
    ),
    (float, ...),
)
_provenance: dict[str, Any] = {
    "nr_source": (Annotated[str, Field(min_length=1)], ...),
    "nr_mos": (Annotated[float, Field(ge=MOS_MIN, le=MOS_MAX)] | None, ...),
    "fr_from_nr": (Literal[True], ...),
}

FrRow: type[_FrRowHead] = create_model("FrRow", __base__=_FrRowHead, **_numbers, **_provenance)
"""One row of the FR corpus; the fields are the keys of a line, in their locked order."""

FR_COLUMNS: tuple[str, ...] = tuple(FrRow.model_fields)
"""All keys in their locked order."""
