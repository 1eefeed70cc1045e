"""What the models of VMAF share: an RBF nu-SVR in a JSON file of this package."""

from __future__ import annotations

from importlib import resources
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict


class Svr(BaseModel):
    """``vmaf = clip((sum_i c_i k(x, s_i) - rho - b0) / a0)``, with ``k`` the RBF kernel."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    source_sha256: str
    licence: str
    gamma: float
    rho: float
    target_slope: float
    target_intercept: float
    score_clip: tuple[float, float]
    coefficients: tuple[float, ...]

    @classmethod
    def of_package(cls, file: str) -> Self:
        """Return the model of a file in ``k150k_pipeline.vmaf.models``."""
        text = resources.files("k150k_pipeline.vmaf.models").joinpath(file).read_text("utf-8")
        return cls.model_validate_json(text)

    def score(self, squares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return VMAF per frame, shape (frames,).

        Args:
            squares: Squared distances to the support vectors, shape (frames, vectors).
        """
        raw = np.exp(-self.gamma * squares) @ np.asarray(self.coefficients) - self.rho
        scores: npt.NDArray[np.float64] = (raw - self.target_intercept) / self.target_slope
        return scores.clip(*self.score_clip)
