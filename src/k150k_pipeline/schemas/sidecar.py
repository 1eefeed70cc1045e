"""Rows of a metadata sidecar (CHUG or K150K JSON lines) that join the features by clip name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from k150k_pipeline.errors import InputError

SPLIT_POLICY = "content-name-blake2s-80-10-10"
_SPLIT_SEED = "chug-hdr-v1"


class SidecarRow(BaseModel):
    """Metadata of one clip; the fields are the columns appended to the features, in order."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    content_id: str | None = Field(
        None, validation_alias=AliasChoices("content_id", "chug_content_name")
    )
    bitrate_ladder_id: str | None = Field(
        None, validation_alias=AliasChoices("bitrate_ladder_id", "chug_bitladder")
    )
    mos_raw_0_100: float | None = Field(None, ge=0, le=100)
    split: str | None = None
    chug_split_key: str | None = None
    chug_split_policy: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _assign_split(cls, row: dict[str, Any]) -> dict[str, Any]:
        row = {key: value for key, value in row.items() if value is not None}
        content = row.get("content_id") or row.get("chug_content_name")
        if row.get("split") or not content:
            return row
        return {
            **row,
            "split": split_of(str(content)),
            "chug_split_key": str(content),
            "chug_split_policy": SPLIT_POLICY,
        }


SIDECAR_COLUMNS: tuple[str, ...] = tuple(SidecarRow.model_fields)


def split_of(content: str) -> str:
    """Return ``train``, ``val`` or ``test`` (80, 10, 10 %) for a content name, always the same."""
    digest = hashlib.blake2s(f"{_SPLIT_SEED}\0{content}".encode(), digest_size=8).digest()
    fraction = int.from_bytes(digest, "big") / 2**64
    return "train" if fraction < 0.80 else "val" if fraction < 0.90 else "test"


def read_sidecar(path: Path) -> dict[str, SidecarRow]:
    """Read a sidecar by clip file name: the base name of ``src`` or ``filename``.

    Raises:
        InputError: No such file, or a line that is not such a row; two rows that disagree.
    """
    rows: dict[str, SidecarRow] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    name, row = _parse(line, f"{path} line {number}")
                    if rows.setdefault(name, row) != row:
                        raise InputError(f"{path} line {number}: a second, other row of {name}")
    except OSError as error:
        raise InputError(f"extract.metadata_jsonl: {path}: {error.strerror}") from error
    return rows


def _parse(line: str, place: str) -> tuple[str, SidecarRow]:
    try:
        row = json.loads(line)
        source = row.get("src") or row["filename"]
        return PurePosixPath(source).name, SidecarRow.model_validate(row)
    except KeyError as error:
        raise InputError(f"{place}: neither src nor filename") from error
    except (ValidationError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{place}: {error}") from error
