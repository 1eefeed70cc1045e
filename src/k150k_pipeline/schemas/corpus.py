"""Rows of a MOS corpus: one clip, its facts and its opinion score."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from k150k_pipeline.schemas.features import MOS_MAX, MOS_MIN

CorpusName = Literal["konvid-150k", "konvid-1k"]

KONVID_PREFIX = "konvid-"
"""The names of KonViD's corpora begin with this, and no other's."""


class CorpusRow(BaseModel):
    """One clip of a MOS corpus; the fields are the 15 keys of a line, in their locked order.

    Attributes:
        src: File name of the clip.
        src_sha256: SHA-256 of its bytes; empty where clips were not probed.
        src_size_bytes: Its size in bytes; 0 where clips were not probed.
        width: Width in pixels, before any rotation tag; 0 where clips were not probed.
        height: Height in pixels, before any rotation tag; 0 where clips were not probed.
        framerate: Frames per second on average; 0 where unknown.
        duration_s: Length in seconds; 0 where unknown.
        pix_fmt: Pixel format in ffmpeg's names.
        encoder_upstream: Codec of the upload, such as ``h264``.
        mos: Mean opinion score, 1–5.
        mos_std_dev: Sample standard deviation of the votes; 0 where unknown.
        n_ratings: Number of votes; 0 where unknown.
        corpus: Which corpus.
        corpus_version: Its release.
        ingested_at_utc: When the clip was taken in, ISO 8601 in UTC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    src: Annotated[str, Field(min_length=1)]
    src_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    src_size_bytes: Annotated[int, Field(ge=0)]
    width: Annotated[int, Field(ge=0)]
    height: Annotated[int, Field(ge=0)]
    framerate: Annotated[float, Field(ge=0)]
    duration_s: Annotated[float, Field(ge=0)]
    pix_fmt: str
    encoder_upstream: str
    mos: Annotated[float, Field(ge=MOS_MIN, le=MOS_MAX)]
    mos_std_dev: Annotated[float, Field(ge=0)]
    n_ratings: Annotated[int, Field(ge=0)]
    corpus: Annotated[str, Field(min_length=1)]
    corpus_version: Annotated[str, Field(min_length=1)]
    ingested_at_utc: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$")]


CORPUS_COLUMNS: tuple[str, ...] = tuple(CorpusRow.model_fields)
"""The 15 keys in their locked order."""
