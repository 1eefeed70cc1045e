"""Wiring of the fr_from_nr pipeline: plan, shards, merge, account, judge."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.pipelines.clipwise import Bound, judge, sharded
from k150k_pipeline.pipelines.fr_from_nr import nodes
from k150k_pipeline.reports.fr_from_nr import FIGURES

NAMESPACE = "fr_from_nr"
_BLOCK = "params:fr_from_nr"
_BLOCKS = (_BLOCK, "params:vmaf")


def create_pipeline(corpus: str, fr: str, shards: int, *, parquet: bool) -> Pipeline:
    """Return the fr_from_nr pipeline for a corpus, its sweeps dealt out to shards.

    Args:
        corpus: Prefix of the catalog entries of the corpus that is re-encoded.
        fr: Prefix of the entries of the corpus that is made: ``k150k_fr`` or ``konvid_1k_fr``.
        shards: Nodes that the clips are dealt to.
        parquet: Whether there is a parquet copy.

    Returns:
        Inputs ``<corpus>_corpus``, ``<corpus>_clips`` and ``<fr>_journal``; outputs
        ``<fr>_corpus``, ``<fr>_manifest``, ``<fr>_failures``, ``<fr>_report``, ``<fr>_page`` and
        its figures and, when asked for, ``<fr>_table``.
    """
    rows, clips = f"{corpus}_corpus", f"{corpus}_clips"
    journal, plan, tally, merged, accounted = (
        f"{fr}_{x}" for x in ("journal", "plan", "tally", "merged", "accounted")
    )
    pictures = [f"{fr}_page", *(f"{fr}_figure_of_{figure}" for figure in FIGURES)]
    outputs = [f"{fr}_{x}" for x in ("corpus", "manifest", "failures", "report")]
    table = [f"{fr}_table"] if parquet else []
    return pipeline(
        [
            node(nodes.plan_fr, [rows, clips, journal, *_BLOCKS], plan, name="plan"),
            *sharded(
                nodes.sweep_shard,
                [plan, clips, journal, *_BLOCKS],
                tally,
                shards,
                namespace="sweep",
            ).nodes,
            node(
                nodes.merge_fr,
                [plan, journal, _BLOCK, tally],
                [*outputs, *table, merged],
                name="merge",
            ),
            node(
                nodes.account_for_rows,
                [merged, journal, *_BLOCKS],
                [*pictures, accounted],
                name="account",
            ),
            node(
                Bound(judge, {"block": NAMESPACE}),
                [accounted, journal, _BLOCK],
                None,
                name="judge",
            ),
        ],
        namespace=NAMESPACE,
        inputs={rows, clips, journal},
        outputs={*outputs, *table, *pictures},
        parameters={"fr_from_nr", "vmaf"},
    )
