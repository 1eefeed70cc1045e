"""VMAF of an identity pair from motion2 alone: the model reduced to its one varying feature.

``vmaf_v0.6.1`` is an RBF nu-SVR on six linearly rescaled features. On an identity pair five of
them are constant, so their part of each kernel is a constant factor. Multiplied into the support
vectors' coefficients, this factor leaves an exact model of one feature.
``scripts/fold_vmaf_model.py`` makes the file read here from Netflix's model.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from k150k_pipeline.vmaf.svr import Svr

_FILE = "vmaf_v0.6.1_identity.json"


class FoldedModel(Svr):
    """The model of motion2 alone."""

    fixed_features: dict[str, float]
    motion2_slope: float
    motion2_intercept: float
    support_vectors: tuple[float, ...]

    def predict(self, motion2: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return VMAF per frame, shape (frames,), for motion2 per frame, shape (frames,)."""
        x = self.motion2_slope * motion2 + self.motion2_intercept
        distance = x[:, np.newaxis] - np.asarray(self.support_vectors)
        return self.score(distance**2)


@functools.cache
def load_folded_model() -> FoldedModel:
    """Return the folded model that ships with the package."""
    return FoldedModel.of_package(_FILE)
