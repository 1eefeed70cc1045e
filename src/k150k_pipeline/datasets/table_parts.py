"""A table in parts, of which each reader takes only those that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import DatasetError

from k150k_pipeline.datasets.atomic import AtomicFileDataset
from k150k_pipeline.datasets.saving import current, unwritable_as_dataset_error
from k150k_pipeline.durable import replacing

_REMEDY = "run the whole pipeline, not some of its nodes, to make it anew"


class TableParts(Sequence[pa.Table]):
    """The parts of a table on the disk; each is read when it is asked for.

    Args:
        path: A parquet file with one row group per part.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with pq.ParquetFile(path) as file:
                self._number: int = file.num_row_groups
        except FileNotFoundError as error:
            raise DatasetError(f"{path} does not exist: {_REMEDY}") from error
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(f"{path} is not a parquet file ({error}): {_REMEDY}") from error

    def __len__(self) -> int:
        return self._number

    @overload
    def __getitem__(self, index: int) -> pa.Table: ...

    @overload
    def __getitem__(self, index: slice) -> list[pa.Table]: ...

    def __getitem__(self, index: int | slice) -> pa.Table | list[pa.Table]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        try:
            with pq.ParquetFile(self._path) as file:
                return file.read_row_group(number)
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(
                f"part {number} of {self._path} cannot be read ({error}): {_REMEDY}"
            ) from error


class TablePartsDataset(AtomicFileDataset):
    """A parquet file with one row group per part, saved from the parts, which have one schema."""

    def load(self) -> TableParts:
        """Return the parts, of which none is read yet.

        Raises:
            DatasetError: The file does not exist, or is not parquet.
        """
        return TableParts(current(self._filepath))

    @unwritable_as_dataset_error()
    def save(self, data: Sequence[pa.Table]) -> None:
        """Replace the file by parts, of which there is at least one."""
        with (
            replacing(self._filepath) as temporary,
            pq.ParquetWriter(temporary, data[0].schema, compression="zstd") as writer,
        ):
            for part in data:
                writer.write_table(part, row_group_size=max(part.num_rows, 1))
