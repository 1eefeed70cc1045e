"""Wiring of the extract pipeline: plan, verify, shards, merge, account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kedro.pipeline import Node, Pipeline, node, pipeline

from k150k_pipeline.pipelines.feature_extraction import nodes
from k150k_pipeline.run_shape import RunShape

NAMESPACE = "extract"


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
    journal, plan, verified = f"{c}_journal", f"{c}_plan", f"{c}_verified"
    clips, report = f"{c}_clips", f"{c}_report"
    blocks = ["params:extract", "params:vmaf"]
    tallies = [f"{c}_tally_{index:04d}" for index in range(shape.shards)]
    steps = [
        node(
            nodes.plan_extraction,
            [f"{c}_scores", clips, journal, *blocks],
            plan,
            name="plan",
        ),
        node(nodes.verify_plans, [plan, clips, journal, *blocks], verified, name="verify"),
        *(
            _shard([plan, verified, clips, journal, *blocks], tally, index, shape.shards)
            for index, tally in enumerate(tallies)
        ),
        node(
            nodes.merge_extraction,
            [plan, journal, "params:extract", *tallies],
            [f"{c}_features", f"{c}_failures", report],
            name="merge",
        ),
        node(
            nodes.account_for_clips,
            [f"{c}_features", journal, report, "params:extract"],
            None,
            name="account",
        ),
    ]
    return pipeline(
        steps,
        namespace=NAMESPACE,
        inputs={f"{c}_scores", clips, journal},
        outputs={f"{c}_features", f"{c}_failures", report},
        parameters={"extract", "vmaf"},
    )


def _shard(inputs: list[str], tally: str, index: int, shards: int) -> Node:
    return node(ScoreShard(index, shards), inputs, tally, name=f"shard_{index:04d}")
