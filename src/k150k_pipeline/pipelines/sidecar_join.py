"""Metadata sidecars: how one is read, and how its columns are joined to a features table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from k150k_pipeline.errors import InputError
from k150k_pipeline.schemas.features import COLUMNS
from k150k_pipeline.schemas.sidecar import SIDECAR_COLUMNS, Cell, SidecarRow

_EMPTY_ROW = SidecarRow.model_validate({})

Sidecar = Mapping[str, SidecarRow]
"""Rows by clip file name."""


@dataclass(frozen=True)
class Joined:
    """A features table with a sidecar's columns, and the counts of the join.

    Attributes:
        table: The features, with every sidecar column.
        matched: Rows whose clip is in the sidecar.
        filled: Empty cells that got a value, per column.
        replaced: Cells whose different value was overwritten, per column.
        kept: Cells that kept a value different from the sidecar's, per column.
    """

    table: pa.Table
    matched: int
    filled: dict[str, int] = field(default_factory=dict)
    replaced: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)


def read_sidecar(
    path: Path, declared: Sequence[str] = (), parameter: str = "extract.metadata_jsonl"
) -> dict[str, SidecarRow]:
    """Read a sidecar by clip file name: the base name of ``src`` or ``filename``.

    Args:
        path: JSON lines.
        declared: Keys to read besides those of ``SIDECAR_COLUMNS``.
        parameter: The parameter that names the file, for the message.

    Raises:
        InputError: The file cannot be read, a line is not a row of a sidecar, two rows of a clip
            differ, or a declared key is in no row or is a features column.
    """
    rows: dict[str, SidecarRow] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    name, row = _parse(line, f"{path} line {number}", declared)
                    if rows.setdefault(name, row) != row:
                        raise InputError(
                            f"{path} line {number}: {name} has a row above this one, and the two "
                            "differ: keep one"
                        )
    except OSError as error:
        raise InputError(f"{parameter}: {path}: {error.strerror}. Name another file") from error
    _check_declared(path, rows, declared)
    return rows


def join(
    table: pa.Table,
    sidecar: Sidecar,
    declared: Sequence[str] = (),
    *,
    overwrite: bool = False,
) -> Joined:
    """Join a sidecar to a features table by ``clip_name``.

    Columns that the table lacks are appended, with null where the sidecar has no value. A cell
    that has a value keeps it unless ``overwrite`` is set; no cell is emptied.

    Raises:
        InputError: A column of the table cannot hold the sidecar's values.
    """
    names = table["clip_name"].to_pylist()
    rows = [sidecar.get(name, _EMPTY_ROW) for name in names]
    joined = Joined(table, sum(name in sidecar for name in names))
    for column in (*SIDECAR_COLUMNS, *declared):
        kind = _kind_of(column, sidecar)
        table = _join_column(
            table, column, [row.cell(column) for row in rows], kind, overwrite, joined
        )
    return Joined(table, joined.matched, joined.filled, joined.replaced, joined.kept)


def _join_column(
    table: pa.Table,
    column: str,
    given: list[Cell],
    kind: pa.DataType,
    overwrite: bool,
    counts: Joined,
) -> pa.Table:
    if column not in table.column_names:
        counts.filled[column] = sum(value is not None for value in given)
        return table.append_column(column, pa.array(given, kind))
    present: list[Cell] = [_or_none(value) for value in table[column].to_pylist()]
    fill = [old is None and new is not None for old, new in zip(present, given, strict=True)]
    differ = [
        old is not None and new is not None and old != new
        for old, new in zip(present, given, strict=True)
    ]
    counts.filled[column] = sum(fill)
    (counts.replaced if overwrite else counts.kept)[column] = sum(differ)
    taken = [f or (overwrite and d) for f, d in zip(fill, differ, strict=True)]
    if not any(taken):
        return table
    values = [new if t else old for old, new, t in zip(present, given, taken, strict=True)]
    index = table.column_names.index(column)
    return table.set_column(index, column, _as_array(values, column, table[column].type, kind))


def _as_array(values: list[Cell], column: str, present: pa.DataType, kind: pa.DataType) -> pa.Array:
    if pa.types.is_null(present) or pa.types.is_dictionary(present):
        present = kind
    try:
        return pa.array(values, present)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(
            f"column {column!r} of the features table is of type {present} and cannot hold the "
            f"sidecar's values ({error}): rename the column, or leave it out"
        ) from error


def _kind_of(column: str, sidecar: Sidecar) -> pa.DataType:
    """Return a column's type, which depends on its values and not on their order."""
    if column in SIDECAR_COLUMNS:
        return pa.float64() if column == "mos_raw_0_100" else pa.string()
    kinds = {type(row.declared[column]) for row in sidecar.values() if column in row.declared}
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    if kinds <= {int, float}:
        return pa.float64()
    if kinds == {str}:
        return pa.string()
    found = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise InputError(
        f"sidecar column {column!r} has values of several types ({found}): make them all of one "
        "type"
    )


def _or_none(value: Any) -> Cell:
    cell: Cell = None if isinstance(value, float) and math.isnan(value) else value
    return cell


def _parse(line: str, place: str, declared: Sequence[str]) -> tuple[str, SidecarRow]:
    try:
        row = json.loads(line)
        source = row.get("src") or row["filename"]
        cells = {key: row[key] for key in declared if row.get(key) is not None}
        return PurePosixPath(source).name, SidecarRow.model_validate({**row, "declared": cells})
    except KeyError as error:
        raise InputError(f"{place}: the row has neither src nor filename: add one") from error
    except (ValidationError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{place}: {error}") from error


def _check_declared(path: Path, rows: Mapping[str, SidecarRow], declared: Sequence[str]) -> None:
    for column in declared:
        if column in COLUMNS or column in SIDECAR_COLUMNS:
            raise InputError(
                f"column {column!r} is one of the table's own and cannot be declared: leave it out "
                "of the declared columns"
            )
        if not any(column in row.declared for row in rows.values()):
            raise InputError(
                f"{path}: no row has the declared column {column!r}: correct its name, or leave it "
                "out"
            )
