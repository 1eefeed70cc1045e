"""Wiring of the ingest pipeline: read, plan, fetch and probe, merge, account."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.pipelines.clipwise import sharded
from k150k_pipeline.pipelines.ingest import nodes
from k150k_pipeline.run_shape import RunShape

NAMESPACE = "ingest"
_BLOCK = "params:ingest"


def create_pipeline(shape: RunShape) -> Pipeline:
    """Return the ingest pipeline for a corpus, its probing dealt out to shards.

    Args:
        shape: Corpus and shard count of the run.

    Returns:
        Inputs ``<corpus>_drop`` and ``<corpus>_ingest_journal``; outputs ``<corpus>_corpus``, its
        replay manifest, and ``<corpus>_ingest_failures`` and ``<corpus>_ingest_report``.
    """
    c = shape.ingest_corpus
    drop, journal, corpus = f"{c}_drop", f"{c}_ingest_journal", f"{c}_corpus"
    failures, report = f"{c}_ingest_failures", f"{c}_ingest_report"
    manifest = f"{c}_corpus_manifest"
    labels, plan, fetched, tally, merged = (
        f"{c}_{x}" for x in ("labels", "plan", "fetched", "tally", "merged")
    )
    return pipeline(
        [
            node(nodes.read_drop, [drop, _BLOCK], labels, name="read"),
            node(nodes.plan_ingest, [labels, drop, journal, _BLOCK], plan, name="plan"),
            node(nodes.fetch_clips, [plan, labels, drop, journal, _BLOCK], fetched, name="fetch"),
            *sharded(
                nodes.probe_shard,
                [plan, labels, journal, _BLOCK],
                tally,
                shape.ingest_shards,
                namespace="probe",
                also=[fetched],
            ).nodes,
            node(
                nodes.merge_ingest,
                [plan, labels, drop, journal, _BLOCK, tally],
                [corpus, failures, report, merged],
                name="merge",
            ),
            node(
                nodes.account_for_labels,
                [merged, labels, journal, _BLOCK],
                manifest,
                name="account",
            ),
        ],
        namespace=NAMESPACE,
        inputs={drop, journal},
        outputs={corpus, failures, report, manifest},
        parameters={"ingest"},
    )
