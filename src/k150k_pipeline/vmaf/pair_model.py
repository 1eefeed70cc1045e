"""VMAF of a pair from its six features, as libvmaf predicts it with ``vmaf_v0.6.1``.

``scripts/fold_vmaf_model.py`` makes the file read here from Netflix's model.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from k150k_pipeline.vmaf.log import FrameValues
from k150k_pipeline.vmaf.svr import Svr

_FILE = "vmaf_v0.6.1_pairs.json"


class PairModel(Svr):
    """The model of six linearly rescaled features."""

    features: tuple[str, ...]
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    support_vectors: tuple[tuple[float, ...], ...]

    def predict(self, values: FrameValues) -> npt.NDArray[np.float64]:
        """Return VMAF per frame, shape (frames,), for features of shape (frames,) each."""
        features = np.stack([values[feature] for feature in self.features], axis=1)
        x = features * np.array(self.slopes) + np.array(self.intercepts)
        apart = x[:, np.newaxis, :] - np.array(self.support_vectors)
        return self.score((apart**2).sum(axis=2))


@functools.cache
def load_pair_model() -> PairModel:
    """Return the model that ships with the package."""
    return PairModel.of_package(_FILE)
