"""Rows of the older script: whether they fit our columns, and what is missing where they do not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from k150k_pipeline.journal.records import Payload
from k150k_pipeline.schemas.features import COLUMNS, FEATURES, VALUE_COLUMNS
from k150k_pipeline.vmaf.plans import IDENTITY_CONSTANTS

OPTION_COLUMNS = ("is_hdr", "motion_fps_weight")
"""Columns of the newer form that show with which options a clip was scored."""

_DEFAULT_OPTIONS = (False, 1.0)
_NEWER_FEATURES = ("speed_temporal", "speed_chroma_u", "speed_chroma_v", "speed_chroma_uv")
_READ_FEATURES = {f"{f}_{kind}" for f in (*FEATURES, *_NEWER_FEATURES) for kind in ("mean", "std")}
_FILLED = {"ssimulacra2_mean": IDENTITY_CONSTANTS["ssimulacra2"], "ssimulacra2_std": 0.0}
_EMPTY_ON_IDENTITY = ("ciede2000_", "psnr_hvs_")
_IDENTITY_LIMITS: Mapping[str, tuple[float, float]] = {
    # 60 dB or more is libvmaf's ceiling; vmaf_v0.6.1 gives 97.427 at least, another model may not.
    "psnr_y_mean": (59.999, 84.001),
    "float_ssim_mean": (0.9999, 1.0001),
    "vmaf_mean": (97.4, 100.001),
}
_LARGEST_SIDE = 2**31 - 1

MISSING = "missing, empty or of another type"
OTHER_OPTIONS = "scored with other options"
NOT_IDENTITY = "not of a clip against itself under vmaf_v0.6.1"
REPEATED = "there more than once"
UNKNOWN_FEATURE = "of a version of the script that is not known here"

Misfit = dict[str, list[str]]
"""Names of columns by the reason for which a row does not fit."""


def is_newer(row: Mapping[str, Any]) -> bool:
    """Return whether a row is of the form of 57 columns, which lacks ``ssimulacra2``.

    In a table that was put together from both forms, it is there and empty.
    """
    together = any(column in row for column in OPTION_COLUMNS)
    return all(_is_empty(row.get(c)) if together else c not in row for c in _FILLED)


def further_columns(columns: Iterable[str]) -> list[str]:
    """Return the columns that are not among our 48, in their order."""
    return [column for column in columns if column not in COLUMNS]


def unknown_features(columns: Iterable[str]) -> list[str]:
    """Return the columns of features that neither form of the script has.

    They show a version of the script that may score with another model.
    """
    ends = ("_mean", "_std")
    return sorted(c for c in columns if c.endswith(ends) and c not in _READ_FEATURES)


def fit(row: Mapping[str, Any]) -> tuple[Payload | None, Misfit]:
    """Return a row in the form of the journal, or why it does not fit.

    A row of the 48-column form fits as it is; empty values become NaN. A row of the newer form
    fits only if it has every value that an identity pair has, scored with default options; its
    ``ssimulacra2`` is set to that of an identity pair.

    Returns:
        The payload and an empty mapping, or None and the columns by reason.
    """
    newer = is_newer(row)
    filled = {**row, **_FILLED} if newer else row
    misfit = {MISSING: _missing(filled, newer), OTHER_OPTIONS: _other_options(row, newer)}
    if newer:
        misfit[NOT_IDENTITY] = _not_identity(row)
    if found := {reason: columns for reason, columns in misfit.items() if columns}:
        return None, found
    size = {"width": int(row["width"]), "height": int(row["height"])}
    values = [math.nan if filled[c] is None else float(filled[c]) for c in VALUE_COLUMNS]
    return {**size, "frames": None, "values": values}, {}


def _missing(row: Mapping[str, Any], newer: bool) -> list[str]:
    missing = [] if _is_name(row.get("clip_name")) else ["clip_name"]
    missing += [side for side in ("width", "height") if not _is_side(row.get(side))]
    for column in VALUE_COLUMNS:
        may_be_empty = not newer or column.startswith(_EMPTY_ON_IDENTITY)
        if column not in row or not _is_value(row[column], may_be_empty):
            missing.append(column)
    return missing


def _other_options(row: Mapping[str, Any], newer: bool) -> list[str]:
    options = zip(OPTION_COLUMNS, _DEFAULT_OPTIONS, strict=True)
    return [
        column
        for column, default in options
        if column in row and row[column] != default and (newer or not _is_empty(row[column]))
    ]


def _not_identity(row: Mapping[str, Any]) -> list[str]:
    return [
        column
        for column, (low, high) in _IDENTITY_LIMITS.items()
        if _is_value(row.get(column), may_be_empty=False) and not low <= row[column] <= high
    ]


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_name(value: object) -> bool:
    if not isinstance(value, str) or not value.strip():
        return False
    try:
        return bool(value.encode())
    except UnicodeEncodeError:
        return False


def _is_side(value: object) -> bool:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return whole and not isinstance(value, bool) and 0 < value <= _LARGEST_SIDE  # type: ignore[operator]


def _is_value(value: object, may_be_empty: bool) -> bool:
    if value is None:
        return may_be_empty
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        number = float(value)
    except OverflowError:
        return False
    return math.isfinite(number) or (may_be_empty and math.isnan(number))


def name_columns(misfit: Mapping[str, Iterable[str]]) -> str:
    """Return the columns by reason, for a message; of long lists the first ones."""
    return "; ".join(f"{reason}: {_shorten(list(columns))}" for reason, columns in misfit.items())


def _shorten(columns: Sequence[str], most: int = 8) -> str:
    more = f" and {len(columns) - most} more" if len(columns) > most else ""
    return ", ".join(columns[:most]) + more
