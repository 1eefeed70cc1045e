"""Wiring of the protocol pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.pipelines.clipwise import Bound
from k150k_pipeline.pipelines.protocol import nodes

_BLOCK, _FINISHED = "params:protocol", "protocol_finished"


def create_pipeline(features: str | None, shards: int) -> Pipeline:
    """Return the protocol pipeline.

    Args:
        features: Dataset of the features parquet; None for the tables of ``protocol.tables``.
        shards: Nodes that the splits are dealt to; at most as many as there are splits.
    """
    tables = [] if features is None else [features]
    evaluate = nodes.evaluate_tables if features is None else nodes.evaluate_splits
    parts = [f"splits_{shard:04d}" for shard in range(shards)]
    return pipeline(
        [
            *(
                node(
                    Bound(evaluate, {"shard": shard, "shards": shards}),
                    [*tables, _BLOCK, _FINISHED],
                    part,
                    name=f"shard_{shard:04d}",
                )
                for shard, part in enumerate(parts)
            ),
            node(
                nodes.summarise_splits,
                [_BLOCK, *parts],
                ["protocol_splits", "protocol_summary"],
                name="summarise",
            ),
        ],
        namespace="protocol",
        inputs={*tables, _FINISHED},
        outputs={"protocol_splits", "protocol_summary"},
        parameters={"protocol"},
    )
