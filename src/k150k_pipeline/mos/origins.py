"""What a score was made from: a change of any of it changes its digest."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy
import sklearn
from threadpoolctl import threadpool_info


def digest_of_table(frame: pd.DataFrame) -> str:
    """Return a hash of all columns of a table, with their names and the order of the rows."""
    digest = hashlib.sha256()
    for name, column in frame.items():
        digest.update(f"{name}\0{column.dtype}\0".encode())
        if pd.api.types.is_numeric_dtype(column):
            digest.update(column.to_numpy(dtype=float, na_value=np.nan).tobytes())
        else:
            digest.update(pd.util.hash_pandas_object(column, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def digest_of_arrays(arrays: Iterable[npt.NDArray[Any]]) -> str:
    """Return a hash of arrays of numbers, with their shapes."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype.str}\0".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def surroundings(modules: Iterable[str]) -> dict[str, Any]:
    """Return what besides table and parameters may change the last digit of a fit.

    Args:
        modules: Names of the imported modules whose code takes part.
    """
    libraries = {
        f"{info['internal_api']} {info['version']} {info.get('architecture', '')}"
        for info in threadpool_info()
        if info["user_api"] == "blas"
    }
    versions = {module.__name__: module.__version__ for module in (np, pd, scipy, sklearn)}
    return {"versions": versions, "blas": sorted(libraries), "code": _digest_of_code(modules)}


def _digest_of_code(modules: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for name in modules:
        specification = sys.modules[name].__spec__
        assert specification is not None and specification.origin is not None
        digest.update(Path(specification.origin).read_bytes())
    return digest.hexdigest()
