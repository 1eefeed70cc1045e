"""Tables and documents that a killed run leaves either old or new, never half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import AbstractDataset
from kedro_datasets._typing import JSONPreview, TablePreview

from k150k_pipeline.journal.atomic import replacing, write_text


class _FileDataset(AbstractDataset[Any, Any]):
    """A local file; relative paths are relative to the project."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._filepath

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}

    def _exists(self) -> bool:
        return self._filepath.is_file()


class AtomicParquetDataset(_FileDataset):
    """A parquet file, saved from an Arrow table (its metadata included), loaded as a frame."""

    def load(self) -> pd.DataFrame:
        """Return the table as a pandas frame."""
        frame: pd.DataFrame = pq.read_table(self._filepath).to_pandas()
        return frame

    def save(self, data: pa.Table) -> None:
        """Replace the file by an Arrow table; the same table gives the same bytes."""
        with replacing(self._filepath) as temporary:
            pq.write_table(data, temporary, compression="zstd")

    def preview(self, nrows: int = 20) -> TablePreview:
        """Return the first rows for kedro-viz."""
        head = self.load().head(nrows)
        return TablePreview(json.loads(head.to_json(orient="split")))


class AtomicCSVDataset(_FileDataset):
    """A CSV file with every cell as text when loaded (no value is guessed away)."""

    def load(self) -> pd.DataFrame:
        """Return the table; a byte-order mark is dropped, empty cells are empty strings."""
        return pd.read_csv(self._filepath, dtype=str, keep_default_na=False, encoding="utf-8-sig")

    def save(self, data: pd.DataFrame) -> None:
        """Replace the file by a frame, without its index."""
        with replacing(self._filepath) as temporary:
            data.to_csv(temporary, index=False)

    def preview(self, nrows: int = 20) -> TablePreview:
        """Return the first rows for kedro-viz."""
        head = pd.read_csv(self._filepath, dtype=str, keep_default_na=False, nrows=nrows)
        return TablePreview(json.loads(head.to_json(orient="split")))


class AtomicJSONDataset(_FileDataset):
    """A JSON document."""

    def load(self) -> Any:
        """Return the document."""
        return json.loads(self._filepath.read_text("utf-8"))

    def save(self, data: Any) -> None:
        """Replace the file by a document."""
        write_text(self._filepath, json.dumps(data, indent=1, ensure_ascii=False) + "\n")

    def preview(self) -> JSONPreview:
        """Return the document for kedro-viz."""
        return JSONPreview(self._filepath.read_text("utf-8"))
