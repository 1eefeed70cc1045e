"""Wiring of the extract pipeline: plan, verify, shards, merge, account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kedro.pipeline import Node, Pipeline, node, pipeline

from k150k_pipeline.pipelines.feature_extraction import nodes
from k150k_pipeline.run_shape import RunShape

NAMESPACE = "extract"
_BLOCKS = ("params:extract", "params:vmaf")


@dataclass(frozen=True)
class ScoreShard:
    """``score_shard`` for one shard: a partial that Kedro can name in a worker too."""

    shard: int
    shards: int
    __name__ = "score_shard"

    def __call__(self, *inputs: Any) -> dict[str, Any]:
        """Score this shard's clips."""
        return nodes.score_shard(*inputs, shard=self.shard, shards=self.shards)


def create_pipeline(shape: RunShape) -> Pipeline:
    """Return the extract pipeline for a corpus, dealt out to ``shape.shards`` nodes.

    Args:
        shape: Corpus and shard count of the run.

    Returns:
        Inputs ``<corpus>_scores``, ``<corpus>_clips`` and ``<corpus>_journal``; outputs
        ``<corpus>_features``, ``<corpus>_failures`` and ``<corpus>_report``.
    """
    c = shape.corpus
    scores, clips, journal = f"{c}_scores", f"{c}_clips", f"{c}_journal"
    features, failures, report = f"{c}_features", f"{c}_failures", f"{c}_report"
    plan, verified, tally, merged = (f"{c}_{x}" for x in ("plan", "verified", "tally", "merged"))
    return pipeline(
        [
            node(nodes.plan_extraction, [scores, clips, journal, *_BLOCKS], plan, name="plan"),
            node(nodes.verify_plans, [plan, clips, journal, *_BLOCKS], verified, name="verify"),
            *_score([plan, verified, clips, journal], tally, shape.shards).nodes,
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
        inputs={scores, clips, journal},
        outputs={features, failures, report},
        parameters={"extract", "vmaf"},
    )


def _score(inputs: list[str], tally: str, shards: int) -> Pipeline:
    """Return the shards and the sum of what they did, in a namespace that collapses to one box."""
    tallies = [f"{tally}_{index:04d}" for index in range(shards)]
    return pipeline(
        [
            *(
                _shard([*inputs, *_BLOCKS], output, index, shards)
                for index, output in enumerate(tallies)
            ),
            node(nodes.add_up, tallies, tally, name="add_up"),
        ],
        namespace="score",
        inputs=set(inputs),
        outputs={tally},
        parameters={"extract", "vmaf"},
    )


def _shard(inputs: list[str], tally: str, index: int, shards: int) -> Node:
    return node(ScoreShard(index, shards), inputs, tally, name=f"shard_{index:04d}")
