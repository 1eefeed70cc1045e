"""Wiring of the enrich pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.pipelines.enrich import nodes


def create_pipeline() -> Pipeline:
    """Return the pipeline that completes a features parquet, in place."""
    return pipeline(
        [
            node(
                nodes.enrich,
                ["enrich_features", "params:enrich"],
                ["enriched_features", "enrich_summary"],
                name="join",
            )
        ],
        namespace="enrich",
        inputs={"enrich_features"},
        outputs={"enriched_features", "enrich_summary"},
        parameters={"enrich"},
    )
