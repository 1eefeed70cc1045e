"""Wiring of the predict pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.pipelines.predict import nodes


def create_pipeline() -> Pipeline:
    """Return the pipeline that predicts MOS with the current model set."""
    return pipeline(
        [
            node(
                nodes.predict,
                ["mos_model_set", "params:predict", "params:vmaf"],
                "predicted_mos",
                name="predict",
            )
        ],
        namespace="predict",
        inputs={"mos_model_set"},
        outputs={"predicted_mos"},
        parameters={"predict", "vmaf"},
    )
