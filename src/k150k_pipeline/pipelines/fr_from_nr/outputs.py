"""Outputs of fr_from_nr, derived from the journal: FR rows, report, manifest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import pandas as pd
import pyarrow as pa

from k150k_pipeline import __version__
from k150k_pipeline.fr_from_nr import rows_of
from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.index import PlaceReader, index_rows
from k150k_pipeline.journal.worker import Tally
from k150k_pipeline.pipelines.clipwise import Report, count_by, summarise
from k150k_pipeline.pipelines.fr_from_nr.corpus_bytes import CorpusBytes
from k150k_pipeline.pipelines.fr_from_nr.plan import FrPlan
from k150k_pipeline.schemas.fr import CAVEAT, FR_COLUMNS, FR_SCHEMA_VERSION, FrRow

_BATCH = 5000
_ARROW_TYPES = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
}


class FrRows:
    """All rows of an FR corpus, by clip name and then in the order of the sweep.

    Each iteration reads them from the journal, clip by clip.
    """

    def __init__(self, plan: FrPlan, journal: Journal) -> None:
        counts = CorpusBytes(plan.clips).counts
        places = index_rows(journal, plan.fingerprint, plan.accepted, plan.broken_lines, counts)
        self._places = {name: places[name] for name in sorted(plan.clips) if name in places}
        self._clips = plan.clips
        self.scorings = journal.scorings()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with PlaceReader() as reader:
            for name, place in self._places.items():
                yield from rows_of(reader.read(place).payload(), self._clips[name].mos)

    @property
    def clips(self) -> int:
        """Number of clips."""
        return len(self._places)

    @property
    def clips_by_fingerprint(self) -> Counter[str]:
        """Number of clips of each fingerprint."""
        return Counter(place.fingerprint for place in self._places.values())

    @property
    def total(self) -> int:
        """Number of rows: one for each clip and CRF of the sweep that it was made with."""
        return sum(
            clips * len(str(self.scorings[key]["crf_sweep"]).split())
            for key, clips in self.clips_by_fingerprint.items()
        )

    def batches(self) -> pa.RecordBatchReader:
        """Return the rows as Arrow batches, a few thousand at a time."""
        schema = arrow_schema()
        return pa.RecordBatchReader.from_batches(schema, self._record_batches(schema))

    def _record_batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        rows = iter(self)
        while batch := list(islice(rows, _BATCH)):
            yield pa.RecordBatch.from_pylist(batch, schema=schema)


def arrow_schema() -> pa.Schema:
    """Return the columns of the parquet copy; the caveat is in its metadata, under ``k150k``."""
    properties = FrRow.model_json_schema()["properties"]
    fields = [pa.field(name, _arrow_type(properties[name])) for name in FR_COLUMNS]
    return pa.schema(fields, metadata={"k150k": CAVEAT})


def report(plan: FrPlan, rows: FrRows, failures: pd.DataFrame, tally: Tally) -> Report:
    """Return the report of a run; every clip of the corpus is in one of the counts."""
    finished_at = time.time()
    seconds = max(finished_at - plan.started_at, 1e-3)
    report = {
        "corpus": plan.corpus,
        "package": f"k150k-pipeline {__version__}",
        "scoring": plan.scoring,
        "fingerprint": plan.fingerprint,
        "started_at": plan.started_at,
        "finished_at": finished_at,
        "clips_per_second": round((tally.ok + tally.failed) / seconds, 3),
        "counts": {
            "wanted": len(plan.clips),
            "rows": rows.clips,
            "fr_rows": rows.total,
            "done_before": plan.done_before,
            "changed_clips": len(plan.changed_clips),
            "newly_finished": tally.ok,
            "failed": len(failures),
            "killed": tally.killed,
            "not_yet_tried": len(plan.clips) - rows.clips - len(failures),
            "clips_without_label": len(plan.clips_without_label),
            "labels_without_clip": len(plan.labels_without_clip),
            "torn_lines": plan.torn_lines,
            "broken_lines": len(plan.broken_lines),
            "fsyncs": tally.syncs,
        },
        "fsync_seconds": round(tally.sync_seconds, 3),
        "failure_rate": len(failures) / max(rows.clips + len(failures), 1),
        "failures_by_reason": count_by(failures["reason"]),
        "clips_without_label": plan.clips_without_label,
        "labels_without_clip": plan.labels_without_clip,
        "changed_clips": plan.changed_clips,
        "bad_labels": [],
        "broken_lines": plan.broken_lines,
    }
    return {**report, "summary": summarise(report)}


def manifest(plan: FrPlan, rows: FrRows, journal: Journal) -> Report:
    """Return what a user of the rows must know; it is written beside them."""
    return {
        "caveat": CAVEAT,
        "output": journal.output.name,
        "schema_version": FR_SCHEMA_VERSION,
        "keys": list(FR_COLUMNS),
        "corpus": plan.corpus,
        "package": f"k150k-pipeline {__version__}",
        "clips": rows.clips,
        "rows": rows.total,
        "clips_made_with": {
            key: {"clips": clips, **rows.scorings[key]}
            for key, clips in rows.clips_by_fingerprint.items()
        },
    }


def _arrow_type(field: Mapping[str, Any]) -> pa.DataType:
    kinds = [field, *field.get("anyOf", ())]
    kind = next(kind["type"] for kind in kinds if "type" in kind)
    return _ARROW_TYPES[kind]
