"""Wiring of the ingest pipeline: read, plan, fetch and probe, merge, account, judge."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.pipelines.clipwise import sharded
from k150k_pipeline.pipelines.ingest import nodes
from k150k_pipeline.reports.ingest import FIGURES

NAMESPACE = "ingest"
_BLOCK = "params:ingest"


def create_pipeline(corpus: str, shards: int) -> Pipeline:
    """Return the ingest pipeline for a corpus; its probing is divided into shards.

    Args:
        corpus: Prefix of its catalog entries: ``konvid_150k`` or ``konvid_1k``.
        shards: Nodes that the clips on the disk are dealt to.

    Returns:
        Inputs ``<corpus>_drop`` and ``<corpus>_ingest_journal``; outputs ``<corpus>_corpus``, its
        replay manifest, ``<corpus>_ingest_failures``, ``<corpus>_ingest_report``, and
        ``<corpus>_ingest_page`` with its figures.
    """
    drop, journal, rows = f"{corpus}_drop", f"{corpus}_ingest_journal", f"{corpus}_corpus"
    failures, report = f"{corpus}_ingest_failures", f"{corpus}_ingest_report"
    manifest = f"{corpus}_corpus_manifest"
    pictures = [
        f"{corpus}_ingest_page",
        *(f"{corpus}_ingest_figure_of_{figure}" for figure in FIGURES),
    ]
    labels, plan, fetched, tally, merged, accounted = (
        f"{corpus}_{x}" for x in ("labels", "plan", "fetched", "tally", "merged", "accounted")
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
                shards,
                namespace="probe",
                also=[fetched],
            ).nodes,
            node(
                nodes.merge_ingest,
                [plan, labels, drop, journal, _BLOCK, tally],
                [rows, failures, report, merged],
                name="merge",
            ),
            node(
                nodes.account_for_labels,
                [merged, labels, journal, _BLOCK],
                [manifest, *pictures, accounted],
                name="account",
            ),
            node(nodes.judge, [accounted, journal], None, name="judge"),
        ],
        namespace=NAMESPACE,
        inputs={drop, journal},
        outputs={rows, failures, report, manifest, *pictures},
        parameters={"ingest"},
    )
