"""Tables and documents that are written atomically: a killed run leaves the old or the new one."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import AbstractDataset, DatasetError
from pandas.api.types import is_numeric_dtype

from k150k_pipeline.datasets.loading import unreadable_as_dataset_error
from k150k_pipeline.datasets.previews import NOT_MADE, JSONPreview, TablePreview
from k150k_pipeline.datasets.saving import current, unwritable_as_dataset_error
from k150k_pipeline.durable import lock_of, replacing, write_json
from k150k_pipeline.errors import InputError
from k150k_pipeline.storage import in_words, place
from k150k_pipeline.tables import open_table, quote_formula, unquote_formula


class AtomicFileDataset(AbstractDataset[Any, Any]):
    """Base of the datasets that are one file, on the disk or in a store.

    A relative path starts at the project.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = place(filepath)
        self.metadata = metadata

    @property
    def path(self) -> Path:
        """Where the file is; of one in a store, where its copy is."""
        return self._filepath

    @property
    def lock_path(self) -> Path:
        """Path of the lock that a run holds while the file is one of its outputs."""
        return lock_of(self._filepath)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": in_words(str(self._filepath))}

    def _exists(self) -> bool:
        return current(self._filepath).is_file()

    def _no_table(self) -> TablePreview:
        """Return what kedro-viz shows of a table that no run has made yet."""
        return TablePreview(
            {"index": [0], "columns": [NOT_MADE], "data": [[in_words(str(self._filepath))]]}
        )


class AtomicParquetDataset(AtomicFileDataset):
    """A parquet file, saved from an Arrow table with its metadata, and loaded as a frame."""

    def load(self) -> pd.DataFrame:
        """Return the table as a pandas frame.

        Raises:
            DatasetError: The file does not exist, or is not parquet.
        """
        # A column is freed once it is converted, so that the table is not in memory twice.
        frame: pd.DataFrame = self._read().to_pandas(split_blocks=True, self_destruct=True)
        pa.default_memory_pool().release_unused()
        return frame

    @unwritable_as_dataset_error()
    def save(self, data: pa.Table | pa.RecordBatchReader) -> None:
        """Replace the file by an Arrow table; the same table gives the same bytes.

        The batches of a reader are written one by one and not kept in memory.
        """
        with replacing(self._filepath) as temporary:
            if isinstance(data, pa.Table):
                pq.write_table(data, temporary, compression="zstd")
                return
            with pq.ParquetWriter(temporary, data.schema, compression="zstd") as writer:
                for batch in data:
                    writer.write_batch(batch)

    def _read(self) -> pa.Table:
        try:
            return pq.read_table(current(self._filepath))
        except FileNotFoundError as error:
            raise DatasetError(
                f"{self._filepath} does not exist: run the pipeline that makes it first"
            ) from error
        except (pa.ArrowException, OSError) as error:
            raise self._not_parquet(error) from error

    def _not_parquet(self, error: Exception) -> DatasetError:
        return DatasetError(
            f"{self._filepath} is not a parquet file ({error}): make it anew, or name another"
        )

    def preview(self, nrows: int = 20) -> TablePreview:
        """Return the first rows for kedro-viz."""
        if not self._exists():
            return self._no_table()
        try:
            with pq.ParquetFile(self._filepath) as file:
                head = next(file.iter_batches(nrows), pa.RecordBatch.from_pylist([])).to_pandas()
        except (pa.ArrowException, OSError) as error:
            raise self._not_parquet(error) from error
        return TablePreview(json.loads(head.to_json(orient="split")))


class AtomicCSVDataset(AtomicFileDataset):
    """A CSV file, loaded with every cell as text, so that no value is changed by a guess."""

    def load(self) -> pd.DataFrame:
        """Return the table; cells that a row lacks, and empty ones, are empty strings.

        ``attrs["path"]`` of the frame is the path of the file, for messages.

        Raises:
            DatasetError: The file does not exist or is not CSV, or a row has more cells than the
                header.
        """
        if not current(self._filepath).exists():
            raise DatasetError(
                f"{self._filepath} does not exist: put it there, or give its path on the command "
                "line (--params scores=…) or in conf/local/catalog.yml"
            )
        try:
            with open_table(self._filepath) as (header, rows):
                cells = [self._fit(row, len(header), line) for line, row in rows]
        except InputError as error:
            raise DatasetError(str(error)) from error
        frame = pd.DataFrame(cells, columns=header, dtype=str)
        frame.attrs["path"] = str(self._filepath)
        return frame

    def _fit(self, cells: list[str], width: int, line: int) -> list[str]:
        if any(cell.strip() for cell in cells[width:]):
            raise InputError(
                f"{self._filepath} line {line}: {len(cells)} cells in {width} columns. Quote cells "
                "that hold the delimiter"
            )
        return cells[:width] + [""] * (width - len(cells))

    @unwritable_as_dataset_error()
    def save(self, data: pd.DataFrame) -> None:
        """Replace the file by a frame, without its index."""
        with replacing(self._filepath) as temporary:
            data.to_csv(temporary, index=False, quoting=_quoting(data))

    def preview(self, nrows: int = 20) -> TablePreview:
        """Return the first rows for kedro-viz."""
        if not self._exists():
            return self._no_table()
        head = pd.read_csv(self._filepath, dtype=str, keep_default_na=False, nrows=nrows)
        return TablePreview(json.loads(head.to_json(orient="split")))


class ReportCSVDataset(AtomicCSVDataset):
    """A CSV file that people open in a spreadsheet, with texts from outside, such as clip names.

    A text that a spreadsheet would take for a formula has an apostrophe before it in the file.
    """

    def load(self) -> pd.DataFrame:
        """Return the table without these apostrophes; raises as its base does."""
        frame = super().load()
        plain = frame.map(unquote_formula)
        plain.attrs = frame.attrs
        return plain

    def save(self, data: pd.DataFrame) -> None:
        """Replace the file by a frame, without its index."""
        quoted = data.copy()
        for name, column in data.items():
            if not is_numeric_dtype(column):
                quoted[name] = column.map(_quote)
        super().save(quoted)


def _quoting(data: pd.DataFrame) -> Literal[0, 2]:
    """Return how cells are quoted: where it is needed, but csv sees no need in a lone CR."""
    texts = (column for _, column in data.items() if not is_numeric_dtype(column))
    lone = any("\r" in cell for column in texts for cell in column if isinstance(cell, str))
    return csv.QUOTE_NONNUMERIC if lone else csv.QUOTE_MINIMAL


def _quote(cell: Any) -> Any:
    return quote_formula(cell) if isinstance(cell, str) else cell


class AtomicJSONLinesDataset(AtomicFileDataset):
    """A table with one JSON object per line, saved row by row."""

    def load(self) -> pd.DataFrame:
        """Return the table; keys that a line lacks are missing values.

        Raises:
            DatasetError: The file does not exist, or a line is not a JSON object.
        """
        frames = [pd.DataFrame(rows) for rows in self._batches()]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    @unwritable_as_dataset_error()
    def save(self, data: Iterable[Mapping[str, Any]]) -> None:
        """Replace the file by rows; they may come from a generator and are not kept."""
        with replacing(self._filepath) as temporary, temporary.open("w", encoding="utf-8") as file:
            for row in data:
                file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")

    def preview(self, nrows: int = 20) -> TablePreview:
        """Return the first rows for kedro-viz."""
        if not self._exists():
            return self._no_table()
        head = pd.DataFrame(next(self._batches(nrows), []))
        return TablePreview(json.loads(head.to_json(orient="split")))

    def _batches(self, size: int = 20_000) -> Iterator[list[dict[str, Any]]]:
        rows = self._rows()
        while batch := list(islice(rows, size)):
            yield batch

    def _rows(self) -> Iterator[dict[str, Any]]:
        try:
            with current(self._filepath).open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        yield self._parse(line, number)
        except FileNotFoundError as error:
            raise DatasetError(
                f"{self._filepath} does not exist: run the pipeline that makes it first (the MOS "
                "corpora come from --pipelines=ingest)"
            ) from error

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DatasetError(
                f"{self._filepath} line {number} is not JSON ({error}): correct it, or make the "
                "file anew"
            ) from error
        if not isinstance(row, dict):
            raise DatasetError(
                f"{self._filepath} line {number} is not a JSON object: correct it, or make the "
                "file anew"
            )
        return row


class AtomicJSONDataset(AtomicFileDataset):
    """A JSON document."""

    def load(self) -> Any:
        """Return the document.

        Raises:
            DatasetError: The file does not exist, or is not JSON.
        """
        with unreadable_as_dataset_error(self._filepath, "JSON"):
            return json.loads(current(self._filepath).read_text("utf-8"))

    @unwritable_as_dataset_error()
    def save(self, data: Any) -> None:
        """Replace the file by a document."""
        write_json(self._filepath, data)

    def preview(self) -> JSONPreview:
        """Return the document for kedro-viz."""
        if not self._exists():
            return JSONPreview(json.dumps({NOT_MADE: str(self._filepath)}))
        return JSONPreview(json.dumps(self.load()))
