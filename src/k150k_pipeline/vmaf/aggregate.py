"""The 44 numbers of a row, from the values per frame."""

from __future__ import annotations

import numpy as np

from k150k_pipeline.schemas.features import FEATURES
from k150k_pipeline.vmaf.log import FrameValues


def aggregate(values: FrameValues) -> list[float]:
    """Return NaN-aware mean and population standard deviation (ddof 0) per feature.

    Args:
        values: All 22 features, shape (frames,) each, frames ≥ 1.

    Returns:
        44 floats in the order of ``VALUE_COLUMNS``; NaN where no frame has a value.
    """
    table = np.stack([values[feature] for feature in FEATURES])
    present = ~np.isnan(table)
    counts = present.sum(axis=1)
    with np.errstate(invalid="ignore"):
        means = np.where(present, table, 0.0).sum(axis=1) / counts
        deviations = np.where(present, table - means[:, np.newaxis], 0.0)
        stds = np.sqrt((deviations**2).sum(axis=1) / counts)
    return [*means.tolist(), *stds.tolist()]
