"""What the modules of this package share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Scores = dict[str, float]
"""Metric name to value; NaN where it is not defined."""


def without_nan(value: Any) -> Any:
    """Return a value with null for every number that JSON cannot write."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [without_nan(item) for item in value]
    return value


def with_nan(value: Any) -> Any:
    """Return a value with NaN for every null: what :func:`without_nan` made of it, undone."""
    if value is None:
        return math.nan
    if isinstance(value, Mapping):
        return {key: with_nan(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [with_nan(item) for item in value]
    return value
