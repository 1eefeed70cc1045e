"""Wiring of the mos_head pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from k150k_pipeline.pipelines.clipwise import Bound
from k150k_pipeline.pipelines.mos_head import nodes
from k150k_pipeline.schemas.mos_parameters import MODEL_KINDS

NAMESPACE = "mos_head"
FIGURES = (
    "standing", "predicted_true", "residuals", "calibration", "errors", "importance", "folds",
)  # fmt: skip
"""Figures of the report page."""

_FINISHED = "mos_head_finished"
_PARTS = 5  # the nodes of a kind: kinds differ in cost, and whole ones would leave a core idle
_BLOCK = "params:mos_head"


def create_pipeline(features: str, corpus: str) -> Pipeline:
    """Return the mos_head pipeline.

    Args:
        features: Dataset of the features parquet.
        corpus: Dataset of the corpus JSONL.

    Returns:
        Outputs ``mos_model_set``, ``mos_head_metrics``, ``mos_head_report``,
        ``mos_head_predictions``, ``mos_head_page`` and its figures.
    """
    pictures = ["mos_head_page", *(f"mos_head_figure_of_{name}" for name in FIGURES)]
    outputs = ["mos_head_predictions", "mos_head_metrics", "mos_model_set", "mos_head_report"]
    shares = {
        (kind, part): f"folds_{kind}_{part}" for kind in MODEL_KINDS for part in range(_PARTS)
    }
    return pipeline(
        [
            node(
                nodes.make_table,
                [features, corpus, _BLOCK, _FINISHED],
                ["table", "facts"],
                name="table",
            ),
            *(
                node(
                    Bound(nodes.cross_validate, {"kind": kind, "part": part, "parts": _PARTS}),
                    ["table", "facts", _BLOCK, _FINISHED],
                    name,
                    name=f"shard_{kind}_{part}",
                )
                for (kind, part), name in shares.items()
            ),
            node(
                nodes.train,
                ["table", "facts", _BLOCK, _FINISHED, *shares.values()],
                outputs,
                name="train",
            ),
            node(
                Bound(nodes.draw, {"figures": FIGURES}),
                ["facts", "mos_head_metrics", "mos_head_predictions", _BLOCK],
                pictures,
                name="draw",
            ),
        ],
        namespace=NAMESPACE,
        inputs={features, corpus, _FINISHED},
        outputs={*outputs, *pictures},
        parameters={"mos_head"},
    )
