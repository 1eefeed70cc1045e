"""Nodes of protocol: the published protocol, with a share of the splits per node."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from k150k_pipeline.mos.finished import NOTHING_KEPT, Finished
from k150k_pipeline.mos.types import without_nan
from k150k_pipeline.schemas.mos_parameters import ProtocolParameters

logger = logging.getLogger(__name__)


def evaluate_splits(
    table: pa.Table | pd.DataFrame,
    protocol: ProtocolParameters,
    finished: Finished = NOTHING_KEPT,
    *,
    shard: int,
    shards: int,
) -> pd.DataFrame:
    """Evaluate the splits of one shard; one row per split.

    Args:
        table: Features parquet, or a CSV file whose cells are texts.
        protocol: Block ``protocol``.
        finished: Splits of earlier runs, which are not evaluated again.
        shard: Number of the shard.
        shards: Number of shards.
    """
    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    return _evaluate({"": frame}, protocol, shard, shards, finished)


def evaluate_tables(
    protocol: ProtocolParameters,
    finished: Finished = NOTHING_KEPT,
    *,
    shard: int,
    shards: int,
) -> pd.DataFrame:
    """Evaluate the splits of one shard on the tables of ``protocol.tables``; one row per split."""
    from k150k_pipeline.mos.protocol_tables import read_tables

    return _evaluate(read_tables(protocol.tables), protocol, shard, shards, finished)


def summarise_splits(
    protocol: ProtocolParameters, *parts: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Join the rows of the shards, and log the medians of each table.

    Returns:
        One row per split; and median, mean and SD per measure, with the parameters.
    """
    from k150k_pipeline.mos import protocol as published

    splits = pd.concat([_as_numbers(part) for part in parts if len(part)], ignore_index=True)
    names = [path.stem for path in protocol.tables] or [""]
    by_table = {
        name: (splits[splits["table"] == name] if name else splits).sort_values("split")
        for name in names
    }
    for name, rows in by_table.items():
        logger.info("%s", published.describe(rows, name))
    measures = {name: published.summarise(rows) for name, rows in by_table.items()}
    found = {"tables": measures} if protocol.tables else {"measures": measures[""]}
    summary = {**found, "protocol": protocol.model_dump(mode="json")}
    return pd.concat(by_table.values(), ignore_index=True), without_nan(summary)


def _evaluate(
    tables: Mapping[str, pd.DataFrame],
    protocol: ProtocolParameters,
    shard: int,
    shards: int,
    finished: Finished,
) -> pd.DataFrame:
    from k150k_pipeline.mos import protocol as published  # scikit-learn: not for every command

    rows = []
    for row in published.evaluate(tables, protocol, shard, shards, finished):
        logger.info("%s", published.describe_split(row))
        rows.append(row)
    return pd.DataFrame(rows)


def _as_numbers(part: pd.DataFrame) -> pd.DataFrame:
    """Return rows that a CSV file holds as text; names of tables stay text."""
    return part.assign(**{c: pd.to_numeric(part[c]) for c in part.columns if c != "table"})
