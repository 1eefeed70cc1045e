"""A parquet table of several files: a folder of parts, to which the name of the table is a link."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from k150k_pipeline.durable import naming, sync_file, sync_folder

_ENDING = ".parts"


def is_partitioned(path: Path) -> bool:
    """Return whether a path is the name of a table that :func:`replace_by_parts` has written."""
    return path.is_symlink() and path.readlink().match(f".{path.name}.*{_ENDING}")


def replace_by_parts(
    path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int
) -> None:
    """Replace a table by one of several files; readers find the old or the new one, and whole.

    Args:
        path: Name of the table: a file, or a link to the folder of its files.
        batches: Its rows; each batch is written as one row group.
        schema: Its columns.
        rows: Most rows of a file, except that no batch is divided. If all have room in one file,
            it takes the name of the table itself.

    Raises:
        UnwritableError: The folder cannot be written, or the disk is full; the old table stays.
    """
    with naming(path, everything=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        folder = path.with_name(f".{path.name}.{time.time_ns()}{_ENDING}")
        folder.mkdir()
        parts = _write_parts(folder, batches, schema, rows)
        new = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        new.unlink(missing_ok=True)
        if len(parts) == 1:
            parts[0].replace(new)
        else:
            new.symlink_to(folder.name)
        new.replace(path)
        sync_folder(path.parent)
        remove_leftovers(path)


def remove_leftovers(path: Path) -> None:
    """Remove the folders of parts to which no link in their folder leads any more."""
    links = {link.readlink().name for link in path.parent.iterdir() if link.is_symlink()}
    for folder in path.parent.glob(f".{path.name}.*{_ENDING}"):
        if folder.name not in links:
            shutil.rmtree(folder)


def _write_parts(
    folder: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int
) -> list[Path]:
    parts: list[Path] = []
    writer, written = None, 0
    for batch in batches:
        if writer is None or written + batch.num_rows > rows:
            if writer is not None:
                writer.close()
            parts.append(folder / f"part-{len(parts):05d}.parquet")
            writer, written = pq.ParquetWriter(parts[-1], schema, compression="zstd"), 0
        writer.write_batch(batch)
        written += batch.num_rows
    if writer is not None:
        writer.close()
    for part in parts:
        sync_file(part)
    sync_folder(folder)
    return parts
