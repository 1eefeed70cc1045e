"""Synthetic tables whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from k150k_pipeline.schemas.mos_parameters import MosHeadParameters

TINY = MosHeadParameters.model_validate(
    {
        "seeds": (0, 1),
        "bootstrap_draws": 20,
        "trees": {"iterations": 30, "min_leaf": 5},
        "mlp": {"hidden": (8,), "epochs": 40, "learning_rate": 0.01},
        "splits": {"folds": 3},
    }
)


@pytest.fixture
def tiny() -> MosHeadParameters:
    """Return parameters that fit in a blink."""
    return TINY


@pytest.fixture
def frame() -> pd.DataFrame:
    """Return 400 clips with five inputs of very different scales, some missing."""
    random = np.random.default_rng(0)
    values = random.normal(size=(400, 5)) * [1, 10, 100, 1e6, 1e-4]
    mos = 3 + np.tanh(values[:, 0]) + 0.03 * values[:, 1] + 0.3 * random.normal(size=400)
    values[::9, 2] = np.nan
    frame = pd.DataFrame(values, columns=list("abcde"))
    frame["mos"] = np.clip(mos, 1, 5)
    frame["clip_name"] = [f"clip{i}.mp4" for i in range(400)]
    frame["corpus"] = "synthetic"
    return frame
