"""Wiring of the protocol pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.pipelines.clipwise import Bound
from k150k_pipeline.pipelines.protocol import nodes

_BLOCK, _FINISHED = "params:protocol", "protocol_finished"


def create_pipeline(features: str, shards: int) -> Pipeline:
    """Return the protocol pipeline.

    Args:
        features: Dataset of the features parquet.
        shards: Nodes that the splits are dealt to; at most as many as there are splits.
    """
    parts = [f"splits_{shard:04d}" for shard in range(shards)]
    return pipeline(
        [
            *(
                node(
                    Bound(nodes.evaluate_splits, {"shard": shard, "shards": shards}),
                    [features, _BLOCK, _FINISHED],
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
        inputs={features, _FINISHED},
        outputs={"protocol_splits", "protocol_summary"},
        parameters={"protocol"},
    )
