"""The table of extra columns beside the features table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from k150k_pipeline.datasets.atomic import AtomicParquetDataset


class ExtraColumnsDataset(AtomicParquetDataset):
    """A parquet file beside a features table, with ``.extra`` before its suffix.

    Args:
        filepath: Path of the features table.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        path = Path(filepath)
        super().__init__(
            filepath=str(path.with_name(f"{path.stem}.extra.parquet")), metadata=metadata
        )
