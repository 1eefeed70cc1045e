"""Files beside an output that hold rows this journal has not made: read, and judged row by row."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.records import encode_payload
from k150k_pipeline.pipelines.feature_extraction import legacy
from k150k_pipeline.pipelines.feature_extraction.foreign_rows import (
    OPTION_COLUMNS,
    REPEATED,
    UNKNOWN_FEATURE,
    Misfit,
    fit,
    further_columns,
    is_newer,
    unknown_features,
)
from k150k_pipeline.pipelines.feature_extraction.outputs import describe
from k150k_pipeline.schemas.features import COLUMNS, METADATA_KEY, SCHEMA_VERSION
from k150k_pipeline.schemas.sidecar import SIDECAR_COLUMNS
from k150k_pipeline.tables import is_table, parquet_files

_READ_COLUMNS = {*COLUMNS, *OPTION_COLUMNS}


@dataclass
class ForeignFile:
    """What a file beside the output holds.

    Attributes:
        path: The file.
        columns: Its columns, or the keys of all its rows, in order of appearance.
        scored_with: Description by fingerprint of the rows that fit.
        fitting: Rows that fit, as payload JSON, by fingerprint and clip; the last row of a clip.
        rows: Number of rows.
        superseded: Number of rows that fit and were followed by another one of the same clip.
        misfits: Number of rows that do not fit.
        misfit_clips: Names of their clips, of those that have a name.
        reasons: Why they do not fit: columns by reason.
        unreadable: Number of lines that are no rows.
    """

    path: Path
    columns: dict[str, None] = field(default_factory=dict)
    scored_with: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    fitting: dict[str, dict[str, bytes]] = field(default_factory=dict)
    rows: int = 0
    superseded: int = 0
    misfits: int = 0
    misfit_clips: dict[str, None] = field(default_factory=dict)
    reasons: dict[str, dict[str, None]] = field(default_factory=dict)
    unreadable: int = 0

    @property
    def further(self) -> list[str]:
        """The columns that are not among our 48."""
        return further_columns(self.columns)

    def wholly_understood(self) -> bool:
        """Return whether the rows that fit are all that the file has."""
        return not (self.misfits or self.superseded or self.unreadable or self.further)

    def add(self, row: Mapping[str, Any], origin: tuple[str, Mapping[str, Any]]) -> None:
        """Judge a row and count it.

        Args:
            row: The row.
            origin: Fingerprint of the row and what it stands for.
        """
        self.rows += 1
        payload, misfit = fit(row)
        if payload is None:
            self.refuse(row, misfit)
            return
        key, scoring = origin
        self.scored_with[key] = scoring
        clips = self.fitting.setdefault(key, {})
        sealed = encode_payload(payload)
        self.superseded += clips.get(row["clip_name"], sealed) != sealed
        clips[row["clip_name"]] = sealed

    def refuse(self, row: Mapping[str, Any], misfit: Misfit) -> None:
        """Count a row that does not fit, with the columns by reason."""
        self.misfits += 1
        self.misfit_clips[str(row.get("clip_name"))] = None
        for reason, columns in misfit.items():
            self.reasons.setdefault(reason, {}).update(dict.fromkeys(columns))


def is_ours(path: Path, declared: Iterable[str] = ()) -> bool:
    """Return whether a parquet table is one of features that this package wrote.

    Args:
        path: The file.
        declared: Columns of the sidecar that the user named.
    """
    try:
        schemas = map(pq.read_schema, parquet_files(path))
        return all(_is_ours(schema, declared) for schema in schemas)
    except (pa.ArrowException, OSError):
        return False


def read_parquet(path: Path) -> ForeignFile:
    """Read the rows of a parquet file.

    Raises:
        pyarrow.ArrowInvalid: It is not parquet.
    """
    schema = pq.read_schema(path)
    names = list(schema.names)
    found = ForeignFile(path, dict.fromkeys(names))
    wanted = list(dict.fromkeys(name for name in names if name in _READ_COLUMNS))
    repeated = sorted(name for name, number in Counter(names).items() if number > 1)
    unknown = [] if _is_ours(schema, names) else unknown_features(names)
    objections = {r: c for r, c in ((UNKNOWN_FEATURE, unknown), (REPEATED, repeated)) if c}
    origin = _origin(schema)
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(1024, columns=wanted):
            for row in _rows(batch):
                if objections:
                    found.rows += 1
                    found.refuse(row, objections)
                else:
                    found.add(row, origin or _legacy_origin(row))
    return found


def read_staging(path: Path) -> ForeignFile:
    """Read the rows of a staging file; lines that are no rows are counted."""
    found = ForeignFile(path)
    for row in staged_rows(path):
        if row is None:
            found.unreadable += 1
            continue
        found.columns.update(dict.fromkeys(row))
        if unknown := unknown_features(row):
            found.rows += 1
            found.refuse(row, {UNKNOWN_FEATURE: unknown})
        else:
            found.add(row, _legacy_origin(row))
    return found


def staged_rows(path: Path) -> Iterator[dict[str, Any] | None]:
    """Yield the rows of a staging file, and None for each line that is not one."""
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                yield _parse(line)


def read_foreign(journal: Journal, declared: Iterable[str]) -> list[ForeignFile]:
    """Read the files beside the output whose rows the journal may lack.

    A parquet of this package is read only if the journal is lost.

    Args:
        journal: Journal of the output.
        declared: Columns of the sidecar that the user named.
    """
    output = journal.output
    files: list[ForeignFile] = []
    if is_table(output) and not (journal.own_files() and is_ours(output, declared)):
        files.extend(map(read_parquet, parquet_files(output)))
    return [*files, *map(read_staging, legacy.LegacyFiles(output).staging())]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except ValueError:  # text that is not UTF-8
        return [{}] * batch.num_rows
    return rows


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line, object_pairs_hook=_each_key_once)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key is there twice")
    return row


def _is_ours(schema: pa.Schema, declared: Iterable[str]) -> bool:
    version = _our_schema_version(schema)
    if version != SCHEMA_VERSION:
        return version is not None and version < SCHEMA_VERSION
    known = {*SIDECAR_COLUMNS, *declared}
    first, further = schema.names[: len(COLUMNS)], schema.names[len(COLUMNS) :]
    return tuple(first) == COLUMNS and known.issuperset(further)


def _our_schema_version(schema: pa.Schema) -> int | None:
    """Return the version of the columns of a table of this package; None if it is of another."""
    if METADATA_KEY not in (schema.metadata or {}):
        return None
    try:
        description = describe(schema)
    except ValueError:
        return None
    ours = isinstance(description, dict) and isinstance(description.get("rows_scored_with"), dict)
    version = description.get("schema_version") if ours else None
    return version if isinstance(version, int) else None


def _origin(schema: pa.Schema) -> tuple[str, Mapping[str, Any]] | None:
    """Return the fingerprint of all rows of a table of this package; None if there is not one."""
    if not _is_ours(schema, schema.names):
        return None
    scored_with = describe(schema)["rows_scored_with"]
    if len(scored_with) != 1:
        return None
    key, scoring = next(iter(scored_with.items()))
    return key, {name: value for name, value in scoring.items() if name != "rows"}


def _legacy_origin(row: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    if is_newer(row):
        return legacy.NEWER_FINGERPRINT, legacy.NEWER_SCORING
    return legacy.FINGERPRINT, legacy.SCORING
