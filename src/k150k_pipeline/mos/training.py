"""The final model: fitted, judged, exported, described."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import pandas as pd

from k150k_pipeline.mos import card, gate, judging
from k150k_pipeline.mos.ceiling import Ceiling, counted_votes, label_ceiling
from k150k_pipeline.mos.export import check_export, to_onnx
from k150k_pipeline.mos.models import SEED_MATTERS, Head, fit_head
from k150k_pipeline.mos.predict import CARD, ONNX, SIDECAR
from k150k_pipeline.mos.table import votes_of
from k150k_pipeline.mos.types import CrossValidation, TableFacts, TrainingData, Verdict, without_nan
from k150k_pipeline.schemas.mos_parameters import ModelKind, MosHeadParameters

_NOT_SHARED = ("inputs", "warnings")  # the inputs are elsewhere; warnings name single clips


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        verdict: The verdict with all its numbers.
        summary: The verdict as text.
        files: Contents of the model set's files, by name.
        predictions: ``clip_name``, ``mos`` and ``predicted`` of the judged clips.
    """

    verdict: Verdict
    summary: str
    files: dict[str, bytes]
    predictions: pd.DataFrame


def train(
    development: pd.DataFrame,
    judged: pd.DataFrame,
    judged_on: str,
    labelled: pd.DataFrame,
    facts: TableFacts,
    results: Mapping[ModelKind, CrossValidation],
    parameters: MosHeadParameters,
    on_member: Callable[[int], None],
) -> Trained:
    """Fit the best kind of model on the development clips and judge it.

    Args:
        development: Rows to fit on.
        judged: Rows to judge on; nothing is fitted or chosen on them.
        judged_on: Which rows these are, in words.
        labelled: Rows whose labels the ceiling is estimated from.
        facts: Facts on the training table.
        results: Cross-validation per kind.
        parameters: Block ``mos_head``.
        on_member: Called with the seed of each member that is fitted.

    Raises:
        InputError: There are too few rows, or the exported file does not agree with the model.
    """
    kind = judging.choose(results, parameters)
    inputs, seeds = facts["inputs"], parameters.seeds
    head = fit_head(development, inputs, kind, parameters, seeds, on_member)
    contents = judged["content"].to_numpy(dtype=str)
    verdict: Verdict = {
        **gate.decide(
            judging.judge(head, judged, contents, parameters),
            ceiling_of(labelled, parameters),
            judging.baselines(development, judged, inputs, parameters),
            parameters.gate,
            judged_on,
            SEED_MATTERS[kind],
        ),
        "model": kind,
        "fold_spread": results[kind]["fold_spread"],
        "cross_validation": dict(results),
        "importance": judging.importance(head, judged, parameters),
    }
    predictions = judged[["clip_name", "mos"]].assign(predicted=head.predict(judged))
    files = _files(head, development, facts, verdict, parameters)
    return Trained(verdict, gate.describe(verdict), files, predictions)


def ceiling_of(labelled: pd.DataFrame, mos_head: MosHeadParameters) -> Ceiling:
    """Return the ceiling of labels; their votes are from a CSV, the corpus rows or parameters."""
    parameters = mos_head.ceiling
    of_judge = mos_head.judge_features is not None
    counted = counted_votes(parameters, of_judge=of_judge)
    votes, vote_sd, source = votes_of(
        labelled,
        votes=parameters.judge_votes if of_judge else parameters.votes,
        vote_sd=parameters.vote_sd,
        counted=counted,
    )
    return label_ceiling(labelled["mos"].to_numpy(dtype=float), votes, vote_sd, source)


def _files(
    head: Head,
    development: pd.DataFrame,
    facts: TableFacts,
    verdict: Verdict,
    mos_head: MosHeadParameters,
) -> dict[str, bytes]:
    data = _training_data(facts, development)
    content = to_onnx(head, {"fingerprint": data["fingerprint"], "kind": head.kind})
    difference = check_export(content, head, development)
    sidecar = card.sidecar(head, content, difference, data, verdict, mos_head)
    return {
        ONNX: content,
        SIDECAR: _as_json(sidecar),
        CARD: card.model_card(sidecar, verdict).encode(),
        f"{gate.title(verdict)}.json": _as_json({**verdict, "data": data}),
    }


def _training_data(facts: TableFacts, development: pd.DataFrame) -> TrainingData:
    data = {
        **{key: value for key, value in facts.items() if key not in _NOT_SHARED},
        "clips_trained_on": len(development),
        "contents_trained_on": int(development["content"].nunique()),
    }
    return cast(TrainingData, data)


def _as_json(document: Mapping[str, object]) -> bytes:
    return (json.dumps(without_nan(document), indent=1) + "\n").encode()
