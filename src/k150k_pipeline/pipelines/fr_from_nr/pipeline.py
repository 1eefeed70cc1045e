"""Wiring of the fr_from_nr pipeline: plan, shards, merge, account."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.pipelines.clipwise import sharded
from k150k_pipeline.pipelines.fr_from_nr import nodes
from k150k_pipeline.run_shape import RunShape

NAMESPACE = "fr_from_nr"
_BLOCK = "params:fr_from_nr"
_BLOCKS = (_BLOCK, "params:vmaf")


def create_pipeline(shape: RunShape) -> Pipeline:
    """Return the fr_from_nr pipeline for a corpus, dealt out to ``shape.fr_shards`` nodes.

    Args:
        shape: Corpus and shard count of the run, and whether there is a parquet copy.

    Returns:
        Inputs ``<corpus>_corpus``, ``<corpus>_clips`` and ``<fr>_journal``; outputs
        ``<fr>_corpus``, ``<fr>_manifest``, ``<fr>_failures``, ``<fr>_report`` and, when asked
        for, ``<fr>_table``; ``<fr>`` is ``k150k_fr`` or ``konvid_1k_fr``.
    """
    corpus, clips = f"{shape.fr_corpus}_corpus", f"{shape.fr_corpus}_clips"
    prefix = shape.fr_prefix
    journal, plan, tally, merged = (f"{prefix}_{x}" for x in ("journal", "plan", "tally", "merged"))
    outputs = [f"{prefix}_{x}" for x in ("corpus", "manifest", "failures", "report")]
    table = [f"{prefix}_table"] if shape.fr_parquet else []
    return pipeline(
        [
            node(nodes.plan_fr, [corpus, clips, journal, *_BLOCKS], plan, name="plan"),
            *sharded(
                nodes.sweep_shard,
                [plan, clips, journal, *_BLOCKS],
                tally,
                shape.fr_shards,
                namespace="sweep",
            ).nodes,
            node(
                nodes.merge_fr,
                [plan, journal, _BLOCK, tally],
                [*outputs, *table, merged],
                name="merge",
            ),
            node(nodes.account_for_rows, [merged, journal, _BLOCK], None, name="account"),
        ],
        namespace=NAMESPACE,
        inputs={corpus, clips, journal},
        outputs={*outputs, *table},
        parameters={"fr_from_nr", "vmaf"},
    )
