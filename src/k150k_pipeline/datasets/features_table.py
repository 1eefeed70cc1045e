"""The features table, which the pipelines after ``extract`` read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from kedro.io import DatasetError
from kedro.utils import find_kedro_project

from k150k_pipeline.datasets.atomic import AtomicParquetDataset
from k150k_pipeline.datasets.saving import current


class FeaturesDataset(AtomicParquetDataset):
    """A parquet file that is loaded as an Arrow table, with its types and metadata.

    Args:
        filepath: Path of the file.
        made_by: The command that makes it, for the message that it does not exist.
    """

    def __init__(
        self, *, filepath: str, made_by: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._made_by = made_by

    def load(self) -> pa.Table:
        """Return the table; each column is one chunk, so that saving it gives the same bytes.

        Raises:
            DatasetError: The file does not exist, or is not parquet. The message names the tables
                beside it and the command that makes this one.
        """
        if not current(self._filepath).exists():
            raise DatasetError(f"{_in_project(self._filepath)} does not exist: {self._remedy()}")
        return self._read().combine_chunks()

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
