"""MOS from an exported model; of the libraries of training only numpy and pandas are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.table import numbers, single_precision
from k150k_pipeline.mos.types import Floats

ONNX, SIDECAR, CARD = "mos_head.onnx", "mos_head.json", "MODEL_CARD.md"
"""Files of a model set; a further one holds the verdict."""

_BATCH = 4096


def outside(frame: pd.DataFrame, sidecar: Mapping[str, Any]) -> pd.DataFrame:
    """Return which values are outside what a model was trained on, shape (clips, columns).

    Args:
        frame: Raw columns; a missing value is not outside.
        sidecar: Contents of ``mos_head.json``.

    Returns:
        Truth values for the inputs, and for metadata that are no inputs. A model set of an older
        version records no ranges and has no column.
    """
    ranges = {**sidecar.get("metadata", {}), **_input_ranges(sidecar)}
    columns = [c for c in ranges if c in frame.columns]
    flags = {}
    for column in columns:
        low, high = ranges[column]
        values = single_precision(numbers(frame, column))
        flags[column] = np.isfinite(values) & ((values < low) | (values > high))
    return pd.DataFrame(flags, index=frame.index)


def _input_ranges(sidecar: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    return {i["name"]: (i["low"], i["high"]) for i in sidecar["inputs"] if "low" in i}


class OnnxHead:
    """An exported model.

    Args:
        content: The model file.
    """

    def __init__(self, content: bytes) -> None:
        import onnxruntime  # slow to import, and most commands do not predict

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        self.columns = tuple(i.name for i in self._session.get_inputs())

    def predict(self, frame: pd.DataFrame) -> Floats:
        """Return MOS, shape (clips,).

        Args:
            frame: Raw columns; NaN is a missing value.

        Raises:
            InputError: The table lacks a column.
        """
        if missing := self.missing(frame.columns):
            raise InputError(
                f"the table lacks columns that the model needs: {', '.join(missing)}. Add them, "
                "or take another table"
            )
        parts = [self._predict(frame.iloc[i : i + _BATCH]) for i in range(0, len(frame), _BATCH)]
        return np.concatenate(parts) if parts else np.empty(0)

    def missing(self, columns: Sequence[str] | pd.Index[str]) -> list[str]:
        """Return the model's inputs that are not among these columns."""
        return [c for c in self.columns if c not in columns]

    def _predict(self, frame: pd.DataFrame) -> Floats:
        feeds = {c: numbers(frame, c)[:, np.newaxis] for c in self.columns}
        mos: Floats = self._session.run(None, feeds)[0][:, 0]
        return mos
