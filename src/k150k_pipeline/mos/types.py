"""The shapes of scores and verdicts, as they are written to JSON, and NaN in JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt

from k150k_pipeline.schemas.mos_parameters import ModelKind

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]

Metric = Literal["plcc", "plcc_logistic", "srocc", "krocc", "rmse", "rmse_logistic"]


class Scores(TypedDict):
    """Predictions against MOS; NaN where a metric is not defined."""

    plcc: float
    plcc_logistic: float
    srocc: float
    krocc: float
    rmse: float
    rmse_logistic: float


class BoundedScores(Scores):
    """Scores with their 95 % intervals: lower and upper end per metric.

    Those after the logistic fit are of the curve that was fitted to all clips.
    """

    intervals: dict[str, list[float]]


class SeedScores(BoundedScores):
    """Scores of one member of an ensemble."""

    seed: int


class FoldMemberScores(Scores):
    """Scores of one member of an ensemble on one fold."""

    fold: str
    seed: int


class FoldEnsembleScores(BoundedScores):
    """Scores of an ensemble on one fold."""

    fold: str
    seed: Literal["ensemble"]


FoldScores = FoldMemberScores | FoldEnsembleScores


class CrossValidation(TypedDict):
    """Scores of one kind of model on every fold.

    ``mean`` is that of the ensembles over the folds. ``fold_spread`` is the largest less the
    smallest PLCC of an ensemble.
    """

    kind: ModelKind
    scores: list[FoldScores]
    mean: Scores
    fold_spread: float


class Judgement(TypedDict):
    """Scores of a model on clips that it was not fitted on.

    ``mos`` has mean, SD and range of the labels. ``mean`` is that of the members. ``seed_spread``
    is the largest less the smallest PLCC of a member.
    """

    clips: int
    contents: int
    mos: dict[str, float]
    per_seed: list[SeedScores]
    mean: Scores
    seed_spread: float
    ensemble: BoundedScores


class Baselines(TypedDict):
    """Scores of predictors that need no model of all inputs.

    None where their columns do not vary. ``columns_alone`` has the inputs that agree best with MOS
    on the training rows, each with the larger of its absolute PLCC and SROCC, the best first.
    """

    mean_predictor_rmse: float
    metadata_only: dict[str, Scores] | None
    vmaf_only: Scores | None
    columns_alone: dict[str, float]


class Check(TypedDict):
    """One threshold of the gate, and the value compared with it."""

    name: str
    value: float
    threshold: float
    at_least: bool
    passed: bool


class GateVerdict(Baselines):
    """What the gate decides, on which clips, and why."""

    verdict: Literal["PROMOTE", "HOLD"]
    judged_on: str
    checks: list[Check]
    reasons: list[str]
    scores: Judgement
    ceiling: dict[str, float | str]


class Verdict(GateVerdict):
    """The gate's verdict, and how the model was chosen; the contents of ``mos_head_metrics``."""

    model: ModelKind
    fold_spread: float
    cross_validation: dict[ModelKind, CrossValidation]
    importance: dict[str, float]


class JoinCounts(TypedDict):
    """How the clips of a features table meet the rows of a corpus."""

    clips: int
    with_corpus_row: int
    without_corpus_row: int
    labels_that_differ_from_the_corpus: int
    clips_per_corpus: dict[str, int]


class _Origin(JoinCounts):
    corpus_versions: list[str]
    mos: dict[str, float]
    dropped_columns: dict[str, str]
    parts: dict[str, int]
    split_policy: str
    scored_with: dict[str, Any]
    judge_scored_with: dict[str, Any]
    metadata_ranges: dict[str, list[float]]
    fingerprint: str


class TableFacts(_Origin):
    """What a training table is made of.

    ``warnings`` name single clips, so no model set has them.
    """

    inputs: list[str]
    warnings: list[str]


class TrainingData(_Origin):
    """What a model was trained on: its table without inputs and warnings, and two counts."""

    clips_trained_on: int
    contents_trained_on: int


def without_nan(value: Any) -> Any:
    """Return a value with null for every number that JSON cannot write."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [without_nan(item) for item in value]
    return value


def with_nan(value: Any) -> Any:
    """Return a value with NaN for every null, as it was before :func:`without_nan`."""
    if value is None:
        return math.nan
    if isinstance(value, Mapping):
        return {key: with_nan(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [with_nan(item) for item in value]
    return value
