"""The table of extra columns beside the features table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from k150k_pipeline.datasets.atomic import AtomicParquetDataset
from k150k_pipeline.datasets.saving import keep_foreign, unwritable_as_dataset_error
from k150k_pipeline.schemas.features import METADATA_KEY
from k150k_pipeline.schemas.parameters import ExtraColumn
from k150k_pipeline.storage import place

EXTRA_RULES: Mapping[str, str | int] = {"extra_columns": 1}
"""How the columns are read; a table has it in its metadata, and a record in its fingerprint."""


class ExtraColumnsDataset(AtomicParquetDataset):
    """A parquet file beside a features table, with ``.extra`` before its suffix.

    Args:
        filepath: Path of the features table.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        path = place(filepath)
        super().__init__(
            filepath=str(path.with_name(f"{path.stem}.extra.parquet")), metadata=metadata
        )

    @unwritable_as_dataset_error()
    def save(self, data: pa.Table | pa.RecordBatchReader) -> None:
        """Replace the file; one that this package did not write is kept under another name."""
        keep_foreign(self._filepath, _is_ours)
        super().save(data)


def _is_ours(path: Path) -> bool:
    """Return whether a file has our metadata, and no columns but those that we write."""
    try:
        schema = pq.read_schema(path)
        made = json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))
    except (pa.ArrowException, OSError, ValueError, RecursionError):
        return False
    if not isinstance(made, dict) or any(type(made.get(k)) is not int for k in EXTRA_RULES):
        return False
    first, *further = schema.names or [""]
    known = set(get_args(ExtraColumn))
    unchanged = first == "clip_name" and known.issuperset(further)
    return made.items() >= EXTRA_RULES.items() and unchanged and len({*further}) == len(further)
