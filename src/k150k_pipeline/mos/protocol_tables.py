"""The tables that ``protocol.tables`` names: CSV or parquet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.table import read_frame
from k150k_pipeline.tables import open_table

_PARAMETER = "protocol.tables"


def read_tables(paths: Iterable[Path]) -> dict[str, pd.DataFrame]:
    """Return tables by the name of their file without its ending; cells of a CSV are texts.

    Raises:
        InputError: A file cannot be read, or a row has more cells than the header.
    """
    return {path.stem: _read_table(path) for path in paths}


def _read_table(path: Path) -> pd.DataFrame:
    if path.suffix.lower() == ".parquet":
        return read_frame(path, _PARAMETER)
    try:
        with open_table(path) as (header, rows):
            cells = [_fit(row, len(header), line, path) for line, row in rows]
    except InputError as error:
        raise InputError(f"{_PARAMETER}: {error}") from error
    return pd.DataFrame(cells, columns=header, dtype=str)


def _fit(cells: list[str], width: int, line: int, path: Path) -> list[str]:
    if any(cell.strip() for cell in cells[width:]):
        raise InputError(
            f"{path} line {line}: {len(cells)} cells in {width} columns. Quote cells that hold the "
            "delimiter"
        )
    return cells[:width] + [""] * (width - len(cells))
