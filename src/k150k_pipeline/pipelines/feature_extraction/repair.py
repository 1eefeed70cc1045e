"""Files of extract that the journal makes again, where they are damaged."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from k150k_pipeline.damaged import set_aside
from k150k_pipeline.errors import InputError
from k150k_pipeline.journal import Journal
from k150k_pipeline.pipelines.feature_extraction.legacy import LegacyFiles
from k150k_pipeline.tables import is_table, parquet_files


def repair_output(journal: Journal) -> None:
    """Set the output aside if it is not a whole parquet file, or several.

    Raises:
        OSError: The file or its folder refuses to be read or written.
    """
    if is_table(journal.output) and (reason := _why_unreadable(journal.output)):
        lost = "there is no journal that has its rows"
        remedy = "it is made again from the journal" if journal.own_files() else lost
        set_aside(journal.output, reason, remedy)


def repair_done(journal: Journal) -> None:
    """Set ``.done`` aside if it is not a list of file names.

    Raises:
        InputError: It is not a file, or refuses to be read.
    """
    path = LegacyFiles(journal.output).done_path
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): make it a readable file, or move it away"
        ) from error
    if reason := _why_no_list(content):
        set_aside(path, reason, "it is made again from the features table")


def _why_unreadable(path: Path) -> str:
    """Return why a file, or one in a folder, cannot be read as parquet; empty if all can."""
    found = map(_why_file_unreadable, parquet_files(path))
    return next(filter(None, found), "")


def _why_file_unreadable(path: Path) -> str:
    with path.open("rb") as file:  # an error of the system has the name of the file
        try:
            for _ in pq.ParquetFile(file).iter_batches():
                continue
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            return str(error)
    return ""


def _why_no_list(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        return str(error)
    return "a file name has no zero byte" if "\0" in text else ""
