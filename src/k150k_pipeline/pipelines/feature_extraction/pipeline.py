"""Wiring of the extract pipeline: plan, verify, shards, merge, account, judge."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.pipelines.clipwise import Bound, judge, sharded
from k150k_pipeline.pipelines.feature_extraction import nodes
from k150k_pipeline.reports.extract import FIGURES

NAMESPACE = "extract"
_BLOCKS = ("params:extract", "params:vmaf")


def create_pipeline(corpus: str, labels: str, shards: int, *, extra: bool) -> Pipeline:
    """Return the extract pipeline for a corpus; its scoring is divided into shards.

    Args:
        corpus: Prefix of its catalog entries, such as ``k150ka``.
        labels: Dataset of its labels: a scores CSV or a corpus JSONL.
        shards: Nodes that the clips are dealt to.
        extra: Whether there is a table of extra columns.

    Returns:
        Inputs: the labels, ``<corpus>_clips`` and ``<corpus>_journal``; outputs
        ``<corpus>_features``, ``<corpus>_failures``, ``<corpus>_report``, ``<corpus>_data_card``,
        ``<corpus>_page`` and its figures and, when asked for, ``<corpus>_extra``.
    """
    clips, journal = f"{corpus}_clips", f"{corpus}_journal"
    make_plan = Bound(
        nodes.plan_extraction, {"corpus": corpus, "labels_name": labels, "shards": shards}
    )
    outputs = [f"{corpus}_{x}" for x in ("features", "failures", "report", "data_card")]
    outputs += [f"{corpus}_extra"] if extra else []
    plan, wanted, shares, verified = (
        f"{corpus}_{x}" for x in ("plan", "wanted", "shares", "verified")
    )
    tally, merged, accounted = (f"{corpus}_{x}" for x in ("tally", "merged", "accounted"))
    pictures = [f"{corpus}_page", *(f"{corpus}_figure_of_{figure}" for figure in FIGURES)]
    return pipeline(
        [
            node(
                make_plan, [labels, clips, journal, *_BLOCKS], [wanted, shares, plan], name="plan"
            ),
            node(
                nodes.verify_plans,
                [plan, shares, clips, journal, *_BLOCKS],
                verified,
                name="verify",
            ),
            *sharded(
                nodes.score_shard,
                [plan, shares, verified, clips, journal, *_BLOCKS],
                tally,
                shards,
                namespace="score",
            ).nodes,
            node(
                nodes.merge_with_extra if extra else nodes.merge_extraction,
                [plan, wanted, journal, "params:extract", tally, *([clips] if extra else [])],
                [*outputs, merged],
                name="merge",
            ),
            # It reads neither the features nor the report, as kedro viz would draw a dataset that
            # its namespace reads inside the namespace's box.
            node(
                nodes.account_for_clips,
                [merged, journal, *_BLOCKS],
                [*pictures, accounted],
                name="account",
            ),
            node(
                Bound(judge, {"block": "extract"}),
                [accounted, journal, "params:extract"],
                None,
                name="judge",
            ),
        ],
        namespace=NAMESPACE,
        inputs={labels, clips, journal},
        outputs={*outputs, *pictures},
        parameters={"extract", "vmaf"},
    )
