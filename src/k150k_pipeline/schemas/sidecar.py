"""Rows of a metadata sidecar (CHUG or K150K JSON lines), and the split that a content gets."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

SPLIT_POLICY = "content-name-blake2s-80-10-10"
_SPLIT_SEED = "chug-hdr-v1"

Cell = str | bool | int | float | None


class SidecarRow(BaseModel):
    """Metadata of one clip; the fields are the columns appended to the features, in order.

    Attributes:
        declared: Cells of further columns that the user named, by column.
    """

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
    declared: dict[str, Any] = Field(default_factory=dict)

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

    @field_validator("declared")
    @classmethod
    def _are_cells(cls, declared: dict[str, Any]) -> dict[str, Any]:
        for column, value in declared.items():
            if not isinstance(value, (str, bool, int, float)):
                raise ValueError(f"{column}: {value!r} is not a text, a number or a truth value")
        return declared

    def cell(self, column: str) -> Cell:
        """Return the value of a column; None if the sidecar has none."""
        if column in SIDECAR_COLUMNS:
            value: Cell = getattr(self, column)
            return value
        return self.declared.get(column)


SIDECAR_COLUMNS: tuple[str, ...] = tuple(c for c in SidecarRow.model_fields if c != "declared")
"""The columns that a sidecar appends to a features table, in order."""


def split_of(content: str) -> str:
    """Return ``train``, ``val`` or ``test`` (80, 10, 10 %), which depends on the content alone."""
    fraction = hash_fraction(_SPLIT_SEED, content)
    return "train" if fraction < 0.80 else "val" if fraction < 0.90 else "test"


def hash_fraction(seed: str, name: str) -> float:
    """Return a number in [0, 1) that depends only on a seed and a name."""
    digest = hashlib.blake2s(f"{seed}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
