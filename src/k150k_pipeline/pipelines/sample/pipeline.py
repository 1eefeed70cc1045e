"""Wiring of the sample pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.pipelines.sample import nodes


def create_pipeline() -> Pipeline:
    """Return the pipeline that makes clips, scores and votes of the synthetic drop."""
    made = pipeline(
        [
            node(
                nodes.make_clips,
                ["params:sample", "params:vmaf"],
                "k150ka_clips",
                name="make_clips",
            ),
            node(
                nodes.make_labels,
                "params:sample",
                ["k150ka_scores", "k150ka_votes"],
                name="make_labels",
            ),
        ],
        namespace="sample",
        outputs={"k150ka_clips", "k150ka_scores", "k150ka_votes"},
        parameters={"sample", "vmaf"},
    )
    # Not in the namespace, as kedro viz draws all datasets that a namespace reads inside its box.
    complete = node(
        nodes.complete_drop,
        ["k150ka_clips", "k150ka_scores", "k150ka_votes"],
        "konvid_150k_drop",
        name="complete_drop",
    )
    return made + Pipeline([complete])
