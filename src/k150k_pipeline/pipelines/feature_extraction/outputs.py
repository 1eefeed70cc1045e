"""Outputs of extract, derived from the journal: features table, failures table, report."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from k150k_pipeline import __version__
from k150k_pipeline.journal import Entry, Journal
from k150k_pipeline.journal.precedence import RowChoice
from k150k_pipeline.journal.worker import Tally
from k150k_pipeline.pipelines.clipwise import Report, count_by
from k150k_pipeline.pipelines.clipwise.changes import counting
from k150k_pipeline.pipelines.feature_extraction.plan import ExtractionPlan
from k150k_pipeline.pipelines.sidecar_join import Sidecar, join, read_sidecar
from k150k_pipeline.schemas.features import COLUMNS, METADATA_KEY, SCHEMA_VERSION, VALUE_COLUMNS
from k150k_pipeline.schemas.parameters import ExtractParameters

_MOST_PIXELS = 2**31 - 1  # width and height are 32-bit columns
PACKAGE = f"k150k-pipeline {__version__}"


def features_table(plan: ExtractionPlan, journal: Journal) -> tuple[pa.Table, list[str]]:
    """Return the 48 columns of every wanted clip that has a row, sorted by clip name.

    The schema's metadata has the engines of the rows, under ``k150k``.

    Returns:
        The table, and those of its clips of which it is unknown whether they are whole.
    """
    names = np.array(sorted(plan.mos), dtype=object)
    row_of = {name: row for row, name in enumerate(names)}
    choice = RowChoice(plan.fingerprint, plan.accepted)
    size = np.zeros((len(names), 2), dtype=np.int32)
    values = np.full((len(names), len(VALUE_COLUMNS)), np.nan)
    doubtful = np.zeros(len(names), dtype=bool)
    for entry in counting(journal.entries(skipped=plan.broken_lines), plan.superseded):
        row = row_of.get(entry.clip)
        if row is None or entry.failure or not choice.takes(entry.clip, entry.fingerprint):
            continue
        payload = entry.payload()
        size[row] = payload["width"], payload["height"]
        values[row] = payload["values"]
        doubtful[row] = "doubt" in payload
    have = np.array([name in choice.chosen for name in names], dtype=bool)
    columns: dict[str, pa.Array] = {
        "clip_name": pa.array(names[have], pa.string()),
        "mos": pa.array([plan.mos[name] for name in names[have]], pa.float64()),
        "width": pa.array(size[have, 0], pa.int32()),
        "height": pa.array(size[have, 1], pa.int32()),
        **{c: pa.array(values[have, i], pa.float64()) for i, c in enumerate(VALUE_COLUMNS)},
    }
    metadata = _metadata(journal, Counter(choice.chosen.values()))
    table = pa.table({c: columns[c] for c in COLUMNS}).replace_schema_metadata(metadata)
    return table, list(names[doubtful])


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


def count_matches(table: pa.Table, sidecar: Sidecar | None) -> dict[str, int]:
    """Return how many rows are in the sidecar and how many are not; empty without a sidecar."""
    if sidecar is None:
        return {}
    matched = sum(name in sidecar for name in table["clip_name"].to_pylist())
    return {"matched": matched, "missing": table.num_rows - matched}


def report(
    plan: ExtractionPlan,
    table: pa.Table,
    failures: pd.DataFrame,
    tally: Tally,
) -> Report:
    """Return the report of a run; every label and every clip is in one of the counts."""
    finished_at = time.time()
    rows = table.num_rows
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
            "wanted": len(plan.mos),
            "rows": rows,
            "done_before": plan.done_before,
            "newly_finished": tally.ok,
            "failed": len(failures),
            "killed": tally.killed,
            "not_yet_tried": len(plan.mos) - rows - len(failures),
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
        "rows_scored_with": describe(table.schema)["rows_scored_with"],
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
