"""Rows that are not in the journal yet, from the staging file and the parquet."""

from __future__ import annotations

import logging
import math
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow.parquet as pq

from k150k_pipeline.durable import replacing
from k150k_pipeline.journal import Entry, Journal
from k150k_pipeline.journal.handle import TAKEN_OVER
from k150k_pipeline.journal.records import Payload, encode_entry, encode_header, encode_payload
from k150k_pipeline.pipelines.feature_extraction import legacy
from k150k_pipeline.pipelines.feature_extraction.outputs import METADATA_KEY, describe
from k150k_pipeline.schemas.features import VALUE_COLUMNS

logger = logging.getLogger(__name__)


def take_over(journal: Journal) -> int:
    """Add the rows in the files beside the output that are not in the journal yet.

    The older script's parquet and ``.rows.jsonl`` are always taken over. A parquet of this
    package is taken over only if the journal is lost.

    Returns:
        Number of rows taken over.
    """
    recovered = _take_over_parquet(journal)
    staged = legacy.LegacyFiles(journal.output).staged_rows()
    recovered += _add(journal, legacy.FINGERPRINT, legacy.SCORING, staged)
    if recovered:
        logger.warning("Took over %d rows from the files beside %s", recovered, journal.output)
    return recovered


def _take_over_parquet(journal: Journal) -> int:
    if not journal.output.is_file():
        return 0
    ours = METADATA_KEY in (pq.read_schema(journal.output).metadata or {})
    if ours and journal.own_files():
        return 0
    table = pq.read_table(journal.output)
    scored_with = describe(table)["rows_scored_with"]
    key, scoring = legacy.FINGERPRINT, dict(legacy.SCORING)
    if len(scored_with) == 1:
        key, scoring = next(iter(scored_with.items()))
        scoring = {name: value for name, value in scoring.items() if name != "rows"}
    rows = (row for batch in table.to_batches(max_chunksize=1024) for row in batch.to_pylist())
    return _add(journal, key, scoring, rows)


def _add(
    journal: Journal, key: str, scoring: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]
) -> int:
    payloads = {str(row["clip_name"]): payload for row in rows if (payload := _payload(row))}
    if payloads:
        known = {entry.clip for entry in journal.entries() if entry.failure is None}
        payloads = {clip: payload for clip, payload in payloads.items() if clip not in known}
    if payloads:
        _write(journal, key, scoring, payloads)
    return len(payloads)


def _write(
    journal: Journal, key: str, scoring: Mapping[str, Any], payloads: Mapping[str, Payload]
) -> None:
    """Add rows to the journal, all or none, as one file."""
    path = journal.folder / f"{TAKEN_OVER}{time.time_ns()}.jsonl"
    header = encode_header(key, dict(scoring), {"host": socket.gethostname()})
    now = time.time()
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(header)
        for clip, payload in payloads.items():
            sealed = encode_payload(payload)
            file.write(encode_entry(Entry(clip, key, 1, now, 0.0, sealed, None)))


def _payload(row: Mapping[str, Any]) -> Payload | None:
    """Return a row in the form of the journal; None if the row is incomplete."""
    try:
        values = [math.nan if row[c] is None else float(row[c]) for c in VALUE_COLUMNS]
        size = {"width": int(row["width"]), "height": int(row["height"])}
        return {**size, "frames": None, "values": values} if row["clip_name"] else None
    except (KeyError, TypeError, ValueError):
        return None
