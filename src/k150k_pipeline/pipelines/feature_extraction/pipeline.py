"""Wiring of the extract pipeline: plan, verify, shards, merge, account."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.pipelines.clipwise import Bound, sharded
from k150k_pipeline.pipelines.feature_extraction import nodes
from k150k_pipeline.run_shape import RunShape

NAMESPACE = "extract"
_BLOCKS = ("params:extract", "params:vmaf")


def create_pipeline(shape: RunShape) -> Pipeline:
    """Return the extract pipeline for a corpus, dealt out to ``shape.shards`` nodes.

    Args:
        shape: Corpus and shard count of the run.

    Returns:
        Inputs: the labels, ``<corpus>_clips`` and ``<corpus>_journal``; outputs
        ``<corpus>_features``, ``<corpus>_failures`` and ``<corpus>_report``.
    """
    c = shape.corpus
    labels, clips, journal = shape.labels, f"{c}_clips", f"{c}_journal"
    make_plan = Bound(nodes.plan_extraction, {"corpus": c, "labels_name": labels})
    features, failures, report = f"{c}_features", f"{c}_failures", f"{c}_report"
    plan, verified, tally, merged = (f"{c}_{x}" for x in ("plan", "verified", "tally", "merged"))
    return pipeline(
        [
            node(make_plan, [labels, clips, journal, *_BLOCKS], plan, name="plan"),
            node(nodes.verify_plans, [plan, clips, journal, *_BLOCKS], verified, name="verify"),
            *sharded(
                nodes.score_shard,
                [plan, verified, clips, journal, *_BLOCKS],
                tally,
                shape.shards,
                namespace="score",
            ).nodes,
            node(
                nodes.merge_extraction,
                [plan, journal, "params:extract", tally],
                [features, failures, report, merged],
                name="merge",
            ),
            # Takes neither the features nor the report: kedro viz hides inside a namespace's box
            # whatever the namespace itself reads.
            node(
                nodes.account_for_clips, [merged, journal, "params:extract"], None, name="account"
            ),
        ],
        namespace=NAMESPACE,
        inputs={labels, clips, journal},
        outputs={features, failures, report},
        parameters={"extract", "vmaf"},
    )
