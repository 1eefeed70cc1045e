"""The table of features, which the pipelines after ``extract`` read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from kedro.io import DatasetError
from kedro.utils import find_kedro_project

from k150k_pipeline.datasets.atomic import AtomicParquetDataset


class FeaturesDataset(AtomicParquetDataset):
    """A parquet file that is loaded as it was saved: an Arrow table, with its types and metadata.

    Args:
        filepath: Where the file is.
        made_by: The command that makes it, for whoever looks for it in vain.
    """

    def __init__(
        self, *, filepath: str, made_by: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._made_by = made_by

    def load(self) -> pa.Table:
        """Return the table, each column in one chunk: saved again, it gives the same bytes.

        Raises:
            DatasetError: There is no such file, or it is not parquet; the message names the
                tables beside it and the command that makes this one.
        """
        if not self._filepath.exists():
            raise DatasetError(f"{_in_project(self._filepath)} does not exist: {self._remedy()}")
        return self._read().combine_chunks()

    def _remedy(self) -> str:
        """Return what to do: make the table, or take one that lies in the same folder."""
        ways = [f"make it with `{self._made_by}`"] if self._made_by else []
        tables = [
            str(_in_project(path)) for path in sorted(self._filepath.parent.glob("*.parquet"))
        ]
        if tables:
            more = f" (there is also {', '.join(tables[1:])})" if tables[1:] else ""
            ways.append(f"take the table that is there with `--params features={tables[0]}`{more}")
        return ", or ".join(ways or ["name a features table with `--params features=…`"])


def _in_project(path: Path) -> Path:
    """Return a path as Kedro reads it from the command line: relative to the project."""
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    return path.relative_to(project) if path.is_relative_to(project) else path
