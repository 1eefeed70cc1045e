"""The rows of a run, gathered from its journal part by part: one part is in memory at a time."""

from __future__ import annotations

import io
import pickle
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from k150k_pipeline.journal import Entry, Journal
from k150k_pipeline.journal.due import Attempts
from k150k_pipeline.journal.precedence import RowChoice
from k150k_pipeline.pipelines.clipwise.changes import counting
from k150k_pipeline.pipelines.clipwise.spill import Spill
from k150k_pipeline.pipelines.feature_extraction.plan import ExtractionPlan
from k150k_pipeline.schemas.features import COLUMNS, VALUE_COLUMNS

Row = tuple[str, str, int, int, bool, list[float]]
"""Clip, fingerprint, width, height, whether it is unknown if the clip is whole, the 44 values."""


@dataclass
class Gathered:
    """The rows that the features table gets, and what became of the other clips.

    Attributes:
        parts: The features of the clips with a row, sorted by name, in parts.
        attempts: The failed attempts in the journal.
        rows: Number of rows.
        by_fingerprint: Number of rows by fingerprint.
        doubtful: Clips with a row of which it is unknown whether they are whole.
        failed: Clips without a row that have failed.
    """

    parts: list[pa.Table] | StoredTables
    attempts: Attempts
    rows: int = 0
    by_fingerprint: Counter[str] = field(default_factory=Counter)
    doubtful: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def names(self) -> Iterator[str]:
        """Yield the clips with a row, sorted."""
        for part in self.parts:
            yield from part["clip_name"].to_pylist()


def gather(
    plan: ExtractionPlan,
    wanted: Sequence[pa.Table],
    journal: Journal,
    finish: Callable[[pa.Table], pa.Table] = lambda table: table,
) -> Gathered:
    """Read a journal once, and return the rows of the wanted clips.

    If there are several parts, the rows wait on the disk, in a file without a name.

    Args:
        plan: Plan of the run.
        wanted: Names and MOS of the clips of the run, sorted, in parts.
        journal: Journal of the run.
        finish: Takes the 48 columns of a part and returns them with those of a sidecar.

    Raises:
        OSError: The disk of the journal is full.
    """
    attempts = Attempts(plan.fingerprint)
    rows, folder = _rows(plan, journal, attempts), journal.run_folder
    several = len(wanted) > 1
    found = Gathered(StoredTables(len(wanted), folder) if several else [], attempts)
    parts = _in_parts(rows, wanted, folder) if several else iter([rows])
    for clips, of_part in zip(wanted, parts, strict=True):
        found.parts.append(finish(_take(of_part, clips, plan, found)))
    return found


class StoredTables:
    """Tables on the disk, of which one at a time is read when they are gone through.

    Args:
        most: Most tables.
        folder: As that of :class:`Spill`.
    """

    def __init__(self, most: int, folder: Path) -> None:
        self._spill = Spill(most, folder)
        self._number = 0

    def __len__(self) -> int:
        """Return the number of tables."""
        return self._number

    def __iter__(self) -> Iterator[pa.Table]:
        for number in range(self._number):
            (stream,) = self._spill.read(number)
            yield pa.ipc.open_stream(stream).read_all()

    def append(self, table: pa.Table) -> None:
        """Add a table; raises as :meth:`Spill.add` does."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        self._spill.add(self._number, sink.getvalue())
        self._number += 1


def _rows(plan: ExtractionPlan, journal: Journal, attempts: Attempts) -> Iterator[Row]:
    """Yield the usable rows of a journal, and note its failures."""
    choice = RowChoice(plan.fingerprint, plan.accepted)
    for entry in counting(journal.entries(skipped=plan.broken_lines), plan.superseded):
        if entry.failure is not None:
            attempts.note(entry)
        elif choice.usable(entry.fingerprint):
            yield _row(entry)


def _row(entry: Entry) -> Row:
    payload = entry.payload()
    size = payload["width"], payload["height"]
    return (entry.clip, entry.fingerprint, *size, "doubt" in payload, payload["values"])


def _in_parts(
    rows: Iterable[Row], wanted: Sequence[pa.Table], folder: Path
) -> Iterator[Iterator[Row]]:
    firsts = [clips["clip_name"][0].as_py() for clips in wanted]
    with Spill(len(wanted), folder) as spill:
        for row in rows:
            spill.add(max(bisect_right(firsts, row[0]) - 1, 0), pickle.dumps(row, 5))
        for number in range(len(spill)):
            yield _unpickled(spill.read(number))


def _unpickled(chunks: Iterable[bytes]) -> Iterator[Row]:
    for file in map(io.BytesIO, chunks):
        with suppress(EOFError):
            while True:
                yield pickle.load(file)


def _take(rows: Iterable[Row], clips: pa.Table, plan: ExtractionPlan, found: Gathered) -> pa.Table:
    """Return the table of a part, and add what is in it to what was found."""
    names = np.array(clips["clip_name"].to_pylist(), dtype=object)
    row_of = {name: row for row, name in enumerate(names)}
    choice = RowChoice(plan.fingerprint, plan.accepted)
    size = np.zeros((len(names), 2), dtype=np.int32)
    values = np.full((len(names), len(VALUE_COLUMNS)), np.nan)
    doubtful = np.zeros(len(names), dtype=bool)
    for clip, fingerprint, width, height, doubt, numbers in rows:
        row = row_of.get(clip)
        if row is not None and choice.takes(clip, fingerprint):
            size[row], values[row], doubtful[row] = (width, height), numbers, doubt
    have = np.array([name in choice.chosen for name in names], dtype=bool)
    found.rows += int(have.sum())
    found.by_fingerprint.update(choice.chosen.values())
    found.doubtful += names[doubtful].tolist()
    found.failed += [name for name in names[~have] if name in found.attempts.failures]
    columns: dict[str, pa.Array] = {
        "clip_name": pa.array(names[have], pa.string()),
        "mos": pa.array(clips["mos"].to_numpy()[have], pa.float64()),
        "width": pa.array(size[have, 0], pa.int32()),
        "height": pa.array(size[have, 1], pa.int32()),
        **{c: pa.array(values[have, i], pa.float64()) for i, c in enumerate(VALUE_COLUMNS)},
    }
    return pa.table({c: columns[c] for c in COLUMNS})
