"""The features table, which the pipelines after ``extract`` read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import DatasetError
from kedro.utils import find_kedro_project

from k150k_pipeline.datasets.atomic import AtomicParquetDataset
from k150k_pipeline.datasets.partitioned import is_partitioned, remove_leftovers, replace_by_parts
from k150k_pipeline.datasets.previews import TablePreview
from k150k_pipeline.datasets.saving import current, unwritable_as_dataset_error
from k150k_pipeline.storage import url_of
from k150k_pipeline.tables import parquet_files

_ROWS = 2**18  # of a row group, where a table is divided


class FeaturesDataset(AtomicParquetDataset):
    """A parquet file that is loaded as an Arrow table, with its types and metadata.

    A table of more rows is a folder of such files, to which its name is a link. Any other folder
    of parquet files is loaded too.

    Args:
        filepath: Path of the file.
        made_by: The command that makes it, for the message that it does not exist.
        rows_per_file: Rows up to which it is one file, and that each file of a folder gets.
    """

    def __init__(
        self,
        *,
        filepath: str,
        made_by: str | None = None,
        rows_per_file: int = 10_000_000,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        if type(rows_per_file) is not int or rows_per_file < 1:
            raise DatasetError(
                f"rows_per_file is {rows_per_file!r}: give a whole number from 1, such as --params "
                "rows_per_file=10000000"
            )
        self._made_by = made_by
        self._rows_per_file = rows_per_file

    def may_be_folder(self, *, output: bool) -> bool:
        """Return whether the folder at the path is one that is read; or written, as an output."""
        if output:
            return is_partitioned(self._filepath)
        return any(self._filepath.glob("*.parquet"))

    def load(self) -> pa.Table:
        """Return the table; each column is one chunk, so that saving it gives the same bytes.

        Raises:
            DatasetError: The file does not exist, or is not parquet. The message names the tables
                beside it and the command that makes this one.
        """
        if not current(self._filepath).exists():
            raise DatasetError(f"{_in_project(self._filepath)} does not exist: {self._remedy()}")
        return self._read().combine_chunks()

    @unwritable_as_dataset_error()
    def save(self, data: pa.Table | pa.RecordBatchReader) -> None:
        """Replace the table; the batches of a reader are written one by one and not kept.

        In a store it is always one file, as several cannot be replaced in one step.
        """
        most = self._rows_per_file
        if url_of(self._filepath) is not None:
            super().save(data)
            return
        if isinstance(data, pa.Table) and data.num_rows <= most:
            super().save(data)
            remove_leftovers(self._filepath)
            return
        batches = data.to_batches(min(most, _ROWS)) if isinstance(data, pa.Table) else data
        replace_by_parts(self._filepath, batches, data.schema, most)

    def preview(self, nrows: int = 20) -> TablePreview:
        """Return the first rows for kedro-viz."""
        if not self._filepath.is_dir():
            return super().preview(nrows)
        return AtomicParquetDataset(filepath=str(parquet_files(self._filepath)[0])).preview(nrows)

    def _read(self) -> pa.Table:
        if not self._filepath.is_dir():
            return super()._read()
        try:
            return pa.concat_tables(map(pq.read_table, parquet_files(self._filepath)))
        except (pa.ArrowException, OSError) as error:
            raise self._not_parquet(error) from error

    def _exists(self) -> bool:
        return super()._exists() or self.may_be_folder(output=False)

    def _remedy(self) -> str:
        """Return what to do: make the table, or take another one of the same folder."""
        ways = [f"make it with `{self._made_by}`"] if self._made_by else []
        tables = [
            str(_in_project(path)) for path in sorted(self._filepath.parent.glob("*.parquet"))
        ]
        if tables:
            more = f" (there is also {', '.join(tables[1:])})" if tables[1:] else ""
            ways.append(f"take the table that is there with `--params features={tables[0]}`{more}")
        return ", or ".join(ways or ["name a features table with `--params features=…`"])


def _in_project(path: Path) -> Path:
    """Return a path relative to the project, as Kedro reads it from the command line."""
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    return path.relative_to(project) if path.is_relative_to(project) else path
