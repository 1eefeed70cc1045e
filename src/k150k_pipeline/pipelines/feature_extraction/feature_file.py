"""The features as they are on the disk, in one file or several, read a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from k150k_pipeline.schemas.features import COLUMNS
from k150k_pipeline.tables import parquet_files

_ROWS = 2**16  # of a batch


def read_names(path: Path) -> Iterator[str]:
    """Yield the clip names of a features table in their order."""
    for batch in _batches(path, ["clip_name"]):
        yield from batch["clip_name"].to_pylist()


def read_back(path: Path, most: int) -> tuple[pa.Table, int]:
    """Read a whole features table; return rows that are spread evenly over it, and their number.

    Args:
        path: The table.
        most: Most rows that are returned; if the table has no more, these are all.

    Returns:
        Every n-th row of the 48 columns, for the smallest n; the number of all rows.
    """
    columns = list(COLUMNS)
    sizes = [pq.read_metadata(file).num_rows for file in parquet_files(path)]
    step = max(-(-sum(sizes) // most), 1)
    kept = [pq.read_schema(parquet_files(path)[0]).empty_table().select(columns)]
    rows = 0
    for batch in _batches(path, columns):
        chosen = pa.array(range(-rows % step, batch.num_rows, step), pa.int64())
        kept.append(pa.Table.from_batches([batch.take(chosen) if step > 1 else batch]))
        rows += batch.num_rows
    return pa.concat_tables(kept), rows


def _batches(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    for part in parquet_files(path):
        with pq.ParquetFile(part) as file:
            yield from file.iter_batches(_ROWS, columns=columns)
