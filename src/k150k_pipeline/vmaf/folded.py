"""VMAF of an identity pair from motion2 alone: the model reduced to its one varying feature.

``vmaf_v0.6.1`` is an RBF nu-SVR on six linearly rescaled features. On an identity pair five of
them are constant, so their part of each kernel is a constant factor. Multiplied into the support
vectors' coefficients, this factor leaves an exact model of one feature.
``scripts/fold_vmaf_model.py`` makes the file read here from Netflix's model.
"""

from __future__ import annotations

import functools
from importlib import resources

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

_FILE = "vmaf_v0.6.1_identity.json"


class FoldedModel(BaseModel):
    """A one-feature nu-SVR: ``vmaf = clip((sum_i c_i k(x, s_i) - rho - b0) / a0)``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    source_sha256: str
    licence: str
    fixed_features: dict[str, float]
    gamma: float
    rho: float
    target_slope: float
    target_intercept: float
    motion2_slope: float
    motion2_intercept: float
    score_clip: tuple[float, float]
    support_vectors: tuple[float, ...]
    coefficients: tuple[float, ...]

    def predict(self, motion2: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return VMAF per frame, shape (frames,), for motion2 per frame, shape (frames,)."""
        x = self.motion2_slope * motion2 + self.motion2_intercept
        distance = x[:, np.newaxis] - np.asarray(self.support_vectors)
        kernel = np.exp(-self.gamma * distance**2)
        raw = kernel @ np.asarray(self.coefficients) - self.rho
        scores: npt.NDArray[np.float64] = (raw - self.target_intercept) / self.target_slope
        return scores.clip(*self.score_clip)


@functools.cache
def load_folded_model() -> FoldedModel:
    """Return the folded model that ships with the package."""
    text = resources.files("k150k_pipeline.vmaf.models").joinpath(_FILE).read_text("utf-8")
    return FoldedModel.model_validate_json(text)
