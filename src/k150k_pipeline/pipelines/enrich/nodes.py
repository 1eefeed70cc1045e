"""Node of enrich: complete a features parquet with the columns of a metadata sidecar."""

from __future__ import annotations

import json
import logging
from collections import defaultdict

import pyarrow as pa

from k150k_pipeline.errors import InputError
from k150k_pipeline.pipelines.sidecar_join import join, read_sidecar
from k150k_pipeline.schemas.mos_parameters import EnrichParameters

logger = logging.getLogger(__name__)


def enrich(features: pa.Table, enrich: EnrichParameters) -> tuple[pa.Table, dict[str, object]]:
    """Join a sidecar to a features table, and log the counts as a line of JSON.

    Args:
        features: Any table with a column ``clip_name``.
        enrich: Block ``enrich``.

    Returns:
        The table, and counts of rows and cells.

    Raises:
        InputError: No sidecar is named, it cannot be used, or the table has no clip names.
    """
    if enrich.metadata_jsonl is None:
        raise InputError(
            "enrich.metadata_jsonl names no sidecar: give --params enrich.metadata_jsonl=FILE.jsonl"
        )
    if "clip_name" not in features.column_names:
        raise InputError(
            "the features parquet has no column clip_name: name another with --params features=…"
        )
    sidecar = read_sidecar(enrich.metadata_jsonl, enrich.columns, "enrich.metadata_jsonl")
    joined = join(features, sidecar, enrich.columns, overwrite=enrich.overwrite)
    names = set(features["clip_name"].to_pylist())
    summary = {
        "rows": features.num_rows,
        "matched": joined.matched,
        "missing": features.num_rows - joined.matched,
        "sidecar_rows": len(sidecar),
        "sidecar_rows_unused": sum(name not in names for name in sidecar),
        "cells_filled": joined.filled,
        "cells_replaced": joined.replaced,
        "cells_kept_though_different": joined.kept,
        "contents_in_several_splits": _contents_in_several_splits(joined.table),
    }
    logger.info("%s", json.dumps(summary))
    return joined.table, summary


def _contents_in_several_splits(table: pa.Table) -> list[str]:
    """Return the contents whose rows are in more than one split, which training refuses."""
    splits: dict[str, set[str]] = defaultdict(set)
    pairs = zip(table["content_id"].to_pylist(), table["split"].to_pylist(), strict=True)
    for content, split in pairs:
        if content is not None and split is not None:
            splits[content].add(split)
    return sorted(content for content, found in splits.items() if len(found) > 1)
