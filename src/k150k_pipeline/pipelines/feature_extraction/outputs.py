"""Outputs of extract, derived from the journal: features table, failures table, report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from k150k_pipeline import __version__
from k150k_pipeline.journal import Entry, Journal
from k150k_pipeline.journal.worker import Tally
from k150k_pipeline.pipelines.clipwise import Report, count_by
from k150k_pipeline.pipelines.feature_extraction.gathering import Gathered, StoredTables
from k150k_pipeline.pipelines.feature_extraction.plan import ExtractionPlan
from k150k_pipeline.pipelines.sidecar_join import Sidecar, join, read_sidecar
from k150k_pipeline.schemas.features import METADATA_KEY, SCHEMA_VERSION, VALUE_COLUMNS
from k150k_pipeline.schemas.parameters import ExtractParameters

_MOST_PIXELS = 2**31 - 1  # width and height are 32-bit columns
PACKAGE = f"k150k-pipeline {__version__}"


@dataclass(frozen=True)
class Features:
    """The features table: the 48 columns, then those of a sidecar, sorted by clip name.

    Attributes:
        schema: Its columns; the metadata has the engines of the rows, under ``k150k``.
        parts: Its rows, in tables of the same columns.
    """

    schema: pa.Schema
    parts: list[pa.Table] | StoredTables

    def to_save(self) -> pa.Table | pa.RecordBatchReader:
        """Return the table; of several parts a reader, which has one of them in memory."""
        if len(self.parts) == 1:
            return next(iter(self.parts)).replace_schema_metadata(self.schema.metadata)
        return pa.RecordBatchReader.from_batches(self.schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for part in self.parts:
            for batch in part.combine_chunks().to_batches():
                yield pa.RecordBatch.from_arrays(batch.columns, schema=self.schema)


def features_table(rows: Gathered, journal: Journal) -> Features:
    """Return the features of the rows that were gathered from a journal."""
    first = next(iter(rows.parts))
    return Features(first.schema.with_metadata(_metadata(journal, rows.by_fingerprint)), rows.parts)


def is_row(entry: Entry) -> bool:
    """Return whether the payload of an entry has the size of the clip and the 44 values."""
    payload = entry.payload()
    values = payload.get("values")
    size = payload.get("width"), payload.get("height")
    return (
        isinstance(values, list)
        and len(values) == len(VALUE_COLUMNS)
        and {*map(type, values)} <= {int, float}
        and all(type(pixels) is int and 0 < pixels <= _MOST_PIXELS for pixels in size)
    )


def load_sidecar(extract: ExtractParameters) -> Sidecar | None:
    """Return the sidecar that ``extract.metadata_jsonl`` names; None if it names none.

    Raises:
        InputError: It cannot be used.
    """
    if extract.metadata_jsonl is None:
        return None
    return read_sidecar(extract.metadata_jsonl, extract.metadata_columns)


def join_sidecar(table: pa.Table, sidecar: Sidecar | None, extract: ExtractParameters) -> pa.Table:
    """Append the sidecar's columns after the 48; clips that are not in it get null."""
    return table if sidecar is None else join(table, sidecar, extract.metadata_columns).table


def count_matches(rows: Gathered, sidecar: Sidecar | None) -> dict[str, int]:
    """Return how many rows are in the sidecar and how many are not; empty without a sidecar."""
    if sidecar is None:
        return {}
    matched = sum(name in sidecar for name in rows.names())
    return {"matched": matched, "missing": rows.rows - matched}


def report(
    plan: ExtractionPlan,
    features: Features,
    rows: int,
    failures: pd.DataFrame,
    tally: Tally,
) -> Report:
    """Return the report of a run; every label and every clip is in one of the counts."""
    finished_at = time.time()
    seconds = max(finished_at - plan.started_at, 1e-3)
    return {
        "corpus": plan.corpus,
        "package": PACKAGE,
        "scoring": plan.scoring,
        "fingerprint": plan.fingerprint,
        "started_at": plan.started_at,
        "finished_at": finished_at,
        "clips_per_second": round((tally.ok + tally.failed) / seconds, 3),
        "counts": {
            "wanted": plan.wanted,
            "rows": rows,
            "done_before": plan.done_before,
            "newly_finished": tally.ok,
            "failed": len(failures),
            "killed": tally.killed,
            "not_yet_tried": plan.wanted - rows - len(failures),
            "recovered": plan.recovered,
            "clips_without_label": len(plan.clips_without_label),
            "labels_without_clip": len(plan.labels_without_clip),
            "bad_labels": len(plan.bad_labels),
            "torn_lines": plan.torn_lines,
            "broken_lines": len(plan.broken_lines),
            "fsyncs": tally.syncs,
        },
        "fsync_seconds": round(tally.sync_seconds, 3),
        "failure_rate": len(failures) / max(rows + len(failures), 1),
        "failures_by_reason": count_by(failures["reason"]),
        "rows_scored_with": describe(features.schema)["rows_scored_with"],
        "clips_without_label": plan.clips_without_label,
        "labels_without_clip": plan.labels_without_clip,
        "bad_labels": plan.bad_labels,
        "broken_lines": plan.broken_lines,
    }


def describe(schema: pa.Schema) -> dict[str, Any]:
    """Return the description in the metadata of a features table that this package made."""
    description: dict[str, Any] = json.loads(schema.metadata[METADATA_KEY])
    return description


def _metadata(journal: Journal, rows_by_fingerprint: Mapping[str, int]) -> dict[bytes, bytes]:
    scorings = journal.scorings()
    description = {
        "schema_version": SCHEMA_VERSION,
        "package": PACKAGE,
        "rows_scored_with": {
            key: {"rows": count, **scorings[key]} for key, count in rows_by_fingerprint.items()
        },
    }
    return {METADATA_KEY: json.dumps(description, sort_keys=True).encode()}
