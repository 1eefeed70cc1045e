"""Nothing in the older script's files is lost: originals are kept, further columns in a table."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from k150k_pipeline.durable import is_kept, keep, move_aside, replacing
from k150k_pipeline.journal import Journal
from k150k_pipeline.pipelines.feature_extraction.feature_file import read_names
from k150k_pipeline.pipelines.feature_extraction.foreign_files import (
    ForeignFile,
    digest,
    is_ours,
    read_staging,
    staged_rows,
)
from k150k_pipeline.pipelines.feature_extraction.foreign_rows import further_columns
from k150k_pipeline.pipelines.feature_extraction.legacy import LegacyFiles
from k150k_pipeline.pipelines.feature_extraction.outputs import PACKAGE
from k150k_pipeline.schemas.features import METADATA_KEY
from k150k_pipeline.schemas.parameters import ExtractParameters
from k150k_pipeline.storage import discard
from k150k_pipeline.tables import is_table

logger = logging.getLogger(__name__)


def keep_originals(
    journal: Journal, extract: ExtractParameters, clips: Callable[[], Iterable[str]]
) -> None:
    """Keep what the output and ``.done`` hold and this package did not write.

    Call this before either is replaced.

    Args:
        journal: Journal of the output.
        extract: Block ``extract``.
        clips: Returns the clips that ``.done`` will list.
    """
    output = journal.output
    foreign = output.is_file() and not is_ours(output, extract.metadata_columns)
    done = LegacyFiles(output).done_path
    if done.is_file() and (foreign or _holds_more(done, journal, extract, clips)):
        logger.warning("%s is kept as %s", done, keep(done).name)
    if foreign:
        if extract.legacy != "ignore":
            _write_further_columns(output, _columns_of_parquet(output), output)
        logger.warning("%s is kept as %s and replaced", output, keep(output).name)


def is_superseded(files: LegacyFiles, extract: ExtractParameters) -> bool:
    """Return whether ``.done`` is of an output that was kept and has been replaced since.

    A run that is killed between both leaves such a one. It may list clips whose rows do not fit.
    """
    done, output = files.done_path, files.output
    replaced = is_table(output) and is_ours(output, extract.metadata_columns)
    return replaced and done.is_file() and is_kept(done)


def settle_staging(journal: Journal, clips: Callable[[], Iterable[str]]) -> None:
    """Remove the staging files whose rows are all durable; keep the others under another name.

    A file with rows that are not in the journal yet stays for the next run.

    Args:
        journal: Journal of the output.
        clips: Returns the clips with a row in the output.
    """
    for path in LegacyFiles(journal.output).staging():
        file = read_staging(path)
        waiting, lost = _outstanding(journal, file)
        if waiting:
            logger.warning("%s has %d new rows: run again to take them over", path, waiting)
        elif lost or not file.wholly_understood() or not _clips(file).issubset(clips()):
            _write_further_columns(path, _columns_of_staging(path, file), journal.output)
            logger.warning("%s is kept as %s", path, move_aside(path).name)
        else:
            discard(path)


def _holds_more(
    done: Path, journal: Journal, extract: ExtractParameters, clips: Callable[[], Iterable[str]]
) -> bool:
    """Return whether ``.done`` belongs to files that are kept, or lists further clips."""
    content = done.read_bytes()
    if content == _done_of(journal.output):
        return False
    staging = LegacyFiles(journal.output).staging()
    if extract.legacy != "ignore":
        staging = [path for path in staging if not read_staging(path).wholly_understood()]
    listed = {line.strip() for line in content.splitlines()} - {b""}
    return bool(staging) or not listed.issubset(clip.encode() for clip in clips())


def _done_of(output: Path) -> bytes:
    """Return the ``.done`` of an output of this package; empty if there is none."""
    if not is_table(output):
        return b""
    return "".join(f"{name}\n" for name in read_names(output)).encode()


def _clips(file: ForeignFile) -> set[str]:
    return {clip for payloads in file.fitting.values() for clip in payloads}


def _outstanding(journal: Journal, file: ForeignFile) -> tuple[int, bool]:
    """Return how many clips have no row in the journal, and whether any row is not in it."""
    rows = {(clip, row) for payloads in file.fitting.values() for clip, row in payloads.items()}
    waiting = _clips(file)
    for entry in journal.entries():
        if entry.payload_json is not None:
            rows.discard((entry.clip, entry.payload_json))
            waiting.discard(entry.clip)
    return len(waiting), bool(rows)


def _columns_of_parquet(path: Path) -> pa.Table | None:
    """Return the names and the further columns of a table; None if it lacks either."""
    names = pq.read_schema(path).names
    further = further_columns(names)
    if "clip_name" not in names or not further or len(set(names)) < len(names):
        return None
    return pq.read_table(path, columns=["clip_name", *further])


def _columns_of_staging(path: Path, file: ForeignFile) -> pa.Table | None:
    if not file.further:
        return None
    rows = [row for row in staged_rows(path) if row and isinstance(row.get("clip_name"), str)]
    columns = ("clip_name", *file.further)
    return pa.table({column: _as_array([row.get(column) for row in rows]) for column in columns})


def _as_array(values: list[Any]) -> pa.Array:
    """Return values as a column; values of several types as their JSON texts."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return pa.array([json.dumps(value) for value in values])


def _write_further_columns(source: Path, table: pa.Table | None, output: Path) -> None:
    """Write the further columns of a file beside the output, once."""
    if table is None:
        return
    origin = {"further_columns_of": source.name, "sha256": digest(source), "package": PACKAGE}
    path = _side_path(output, origin["sha256"])
    if path is None:
        return
    metadata = {METADATA_KEY: json.dumps(origin, sort_keys=True).encode()}
    with replacing(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")
    logger.warning(
        "%d further columns of %s are kept in %s", table.num_columns - 1, source.name, path
    )


def _side_path(output: Path, sha256: str) -> Path | None:
    """Return a path that is free; None if there is a table of the same file already."""
    for number in count(1):
        end = "" if number == 1 else f"-{number}"
        path = output.with_name(f"{output.stem}.further_columns{end}.parquet")
        if not os.path.lexists(path):
            return path
        if _origin_of(path).get("sha256") == sha256:
            return None
    raise AssertionError


def _origin_of(path: Path) -> Mapping[str, Any]:
    try:
        origin = json.loads((pq.read_schema(path).metadata or {}).get(METADATA_KEY, b"{}"))
    except (pa.ArrowException, OSError, ValueError):
        return {}
    return origin if isinstance(origin, dict) else {}
