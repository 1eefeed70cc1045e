"""Wiring of the enrich pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.pipelines.enrich import nodes


def create_pipeline(features: str, enriched: str) -> Pipeline:
    """Return the pipeline that completes a features parquet, in place.

    Args:
        features: Dataset of the features parquet.
        enriched: Dataset of the same file: a Kedro node may not read and write one dataset.
    """
    return pipeline(
        [
            node(
                nodes.enrich,
                [features, "params:enrich"],
                [enriched, "enrich_summary"],
                name="join",
            )
        ],
        namespace="enrich",
        inputs={features},
        outputs={enriched, "enrich_summary"},
        parameters={"enrich"},
    )
