"""Nodes of protocol: the published protocol, with a share of the splits per node."""

from __future__ import annotations

import logging
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
    from k150k_pipeline.mos import protocol as published  # scikit-learn: not for every command

    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    return published.run_protocol(frame, protocol, shard, shards, finished)


def summarise_splits(
    protocol: ProtocolParameters, *parts: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Join the rows of the shards, and log every split and the medians.

    Returns:
        One row per split; and median, mean and SD per measure, with the parameters.
    """
    from k150k_pipeline.mos import protocol as published

    evaluated = [part.apply(pd.to_numeric) for part in parts if len(part)]
    splits = pd.concat(evaluated).sort_values("split", ignore_index=True)
    logger.info("Splits of the protocol:\n%s", published.describe(splits))
    summary = {"measures": published.summarise(splits), "protocol": protocol.model_dump()}
    return splits, without_nan(summary)
