"""VMAF of a pair from its six features, as libvmaf predicts it with ``vmaf_v0.6.1``.

``scripts/fold_vmaf_model.py`` makes the file read here from Netflix's model.
"""

from __future__ import annotations

import functools
from importlib import resources

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from k150k_pipeline.vmaf.log import FrameValues

_FILE = "vmaf_v0.6.1_pairs.json"


class PairModel(BaseModel):
    """An RBF nu-SVR: ``vmaf = clip((sum_i c_i k(x, s_i) - rho - b0) / a0)``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    source_sha256: str
    licence: str
    features: tuple[str, ...]
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    gamma: float
    rho: float
    target_slope: float
    target_intercept: float
    score_clip: tuple[float, float]
    support_vectors: tuple[tuple[float, ...], ...]
    coefficients: tuple[float, ...]

    def predict(self, values: FrameValues) -> npt.NDArray[np.float64]:
        """Return VMAF per frame, shape (frames,), for features of shape (frames,) each."""
        features = np.stack([values[feature] for feature in self.features], axis=1)
        x = features * np.array(self.slopes) + np.array(self.intercepts)
        apart = x[:, np.newaxis, :] - np.array(self.support_vectors)
        kernel = np.exp(-self.gamma * (apart**2).sum(axis=2))
        raw = kernel @ np.array(self.coefficients) - self.rho
        scores: npt.NDArray[np.float64] = (raw - self.target_intercept) / self.target_slope
        return scores.clip(*self.score_clip)


@functools.cache
def load_pair_model() -> PairModel:
    """Return the model that ships with the package."""
    text = resources.files("k150k_pipeline.vmaf.models").joinpath(_FILE).read_text("utf-8")
    return PairModel.model_validate_json(text)
