"""The page of mos_head: whether a model is good enough, why, and what it was made from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import pandas as pd

from k150k_pipeline import __version__
from k150k_pipeline.mos.engines import in_words
from k150k_pipeline.mos.standing import against_baselines, below_the_ceiling, standings
from k150k_pipeline.plural import counted
from k150k_pipeline.reports import mos_figures
from k150k_pipeline.reports.page import (
    Block,
    Drawing,
    Facts,
    Page,
    Sum,
    Table,
    Text,
    Tile,
    Tiles,
    Value,
    attempted,
    parameters_table,
)
from k150k_pipeline.schemas.mos_parameters import MosHeadParameters

_NAMES = {
    "plcc": "PLCC", "srocc": "SROCC", "krocc": "KROCC", "rmse": "RMSE (MOS)",
    "plcc_logistic": "PLCC after the logistic fit",
    "rmse_logistic": "RMSE after the logistic fit (MOS)",
}  # fmt: skip
_CHECKS = {
    "plcc": "PLCC, mean over the seeds",
    "srocc": "SROCC, mean over the seeds",
    "rmse": "RMSE in MOS, mean over the seeds",
    "spread": "PLCC, largest less smallest of the seeds",
    "clips": "clips that the model is judged on",
    "plcc ceiling": "PLCC, not above what a perfect predictor reaches",
    "srocc ceiling": "SROCC, not above what a perfect predictor reaches",
}
_PACKAGES = ("numpy", "scipy", "scikit-learn", "onnx", "onnxruntime")
_WORST = 10
_SHOWN_FOLDS = 20  # of a kind; the JSON has every fold


def mos_head_page(
    report: Facts, predictions: pd.DataFrame, parameters: MosHeadParameters, made_at: str
) -> Page:
    """Return the report of a judged model.

    Args:
        report: Keys ``data`` and ``metrics`` of ``mos_head_report.json``.
        predictions: ``clip_name``, ``mos`` and ``predicted`` of the judged clips.
        parameters: Block ``mos_head``.
        made_at: When the page is made, in words.
    """
    metrics, data = report["metrics"], report["data"]
    results = metrics["cross_validation"]
    return Page(
        f"MOS head: {metrics['verdict']}",
        f"{metrics['model']}, judged on {metrics['judged_on']} · k150k-pipeline {__version__} · "
        f"{made_at} · names single clips: do not publish",
        [
            attempted("Verdict", lambda: [*_verdict(metrics)]),
            attempted("Scores", lambda: [*_scores(metrics)]),
            attempted("Predictions", lambda: [*_predictions(predictions, parameters)]),
            attempted("Columns", lambda: [*_importance(metrics["importance"], data)]),
            attempted("Cross-validation", lambda: [*_folds(results)]),
            attempted("Data", lambda: [*_data(data)]),
            attempted("Parameters and versions", lambda: [*_origin(data, parameters)]),
        ],
        {"report": report},
    )


def _verdict(metrics: Facts) -> Iterator[Block]:
    scores, ceiling = metrics["scores"], metrics["ceiling"]
    yield Tiles(
        [
            Tile("Verdict", metrics["verdict"], note=_passed(metrics["checks"])),
            _score_tile(scores["ensemble"], "plcc", "PLCC"),
            _score_tile(scores["ensemble"], "rmse", "RMSE", "MOS"),
            Tile("Ceiling of the PLCC", ceiling["plcc"], note="of a perfect predictor"),
            Tile(
                "Judged clips", scores["clips"], note=f"of {counted(scores['contents'], 'content')}"
            ),
        ]
    )
    yield Text(f"Is it better than its baselines? {against_baselines(metrics)}")
    yield Text(f"How far is it from the ceiling? {below_the_ceiling(metrics)}")
    yield _why(metrics)
    gate = {c["name"]: c["threshold"] for c in metrics["checks"] if c["name"] in _NAMES}
    yield Drawing(
        "standing",
        "The model between its baselines and the ceiling",
        "Each row is one predictor on the same clips; a filled circle left of the tick of the gate "
        "(RMSE: right of it) has not passed. Bars are 95 % intervals, where one is known.",
        mos_figures.standing_figure(standings(metrics), gate),
    )


def _why(metrics: Facts) -> Table:
    reasons = metrics["reasons"] or ["Every check is passed."]
    rows = [[_sentence(reason)] for reason in reasons]
    return Table(f"Why {metrics['verdict']}", ["Reason"], rows)


def _scores(metrics: Facts) -> Iterator[Block]:
    scores = metrics["scores"]
    yield Table(
        "Checks of the gate",
        ["Check", "Value", "Gate", "Result"],
        [
            [_CHECKS.get(check["name"], check["name"]), check["value"], *_against(check)]
            for check in metrics["checks"]
        ],
        "The thresholds are parameters (mos_head.gate); the code never lowers them.",
    )
    yield Table(
        "Scores of the exported ensemble",
        ["Metric", "Score", "95 % from", "To", "Mean of the seeds"],
        [
            [
                name,
                scores["ensemble"][metric],
                *scores["ensemble"]["intervals"][metric],
                scores["mean"][metric],
            ]
            for metric, name in _NAMES.items()
        ],
        "Intervals are by resampling contents. Those after the fit are of one fitted curve.",
    )
    yield Table(
        "Ceiling, model and baselines",
        ["Predictor", "Metric", "Score", "95 % from", "To"],
        [[s.name, _NAMES[s.metric], s.value, s.low, s.high] for s in standings(metrics)],
        "The interval of the ceiling has the ceiling's own error and a perfect predictor's luck "
        "on as many contents. Baselines have no interval.",
    )
    yield Table(
        "Best single columns",
        ["Column", "Larger of PLCC and SROCC"],
        [[name, value] for name, value in metrics["columns_alone"].items()],
        "On the clips that the model was trained on, without a sign. A column near the ceiling may "
        "be made from the labels.",
    )
    yield _per_seed(scores["per_seed"])


def _per_seed(members: Sequence[Facts]) -> Table:
    return Table(
        "Members of the ensemble",
        ["Seed", *_NAMES.values()],
        [[str(member["seed"]), *(member[metric] for metric in _NAMES)] for member in members],
        wide=True,
    )


def _predictions(predictions: pd.DataFrame, parameters: MosHeadParameters) -> Iterator[Block]:
    yield Drawing(
        "predicted_true",
        "Predictions and MOS",
        "Clips on the dotted line are predicted exactly; the curve is the logistic fit, where one "
        "was found.",
        mos_figures.predicted_true(predictions, parameters.fit),
    )
    yield Drawing(
        "residuals",
        "Errors by prediction",
        "Errors should lie about the dotted line everywhere; a slope or a bend of the bins is an "
        "error that the model could have avoided.",
        mos_figures.residuals(predictions),
    )
    yield Drawing(
        "calibration",
        "Calibration",
        "Each point is the clips of one bin of the prediction: on the dotted line a prediction "
        "means what it says, above it the model is too strict.",
        mos_figures.calibration(predictions),
    )
    yield Drawing(
        "errors",
        "Errors by MOS",
        "Of any predictor the mean error falls from left to right, as extreme labels are partly "
        "luck of their votes; the RMSE shows for which MOS the model is least use.",
        mos_figures.errors_by_label(predictions),
    )
    yield _worst(predictions)


def _worst(predictions: pd.DataFrame) -> Table:
    errors = (predictions["predicted"] - predictions["mos"]).rename("error")
    order = errors.abs().sort_values(ascending=False, kind="stable", na_position="last").index
    rows = predictions.assign(error=errors).loc[order[:_WORST]]
    columns = ["clip_name", "mos", "predicted", "error"]
    return Table(
        "Clips with the largest errors",
        ["Clip", "MOS", "Predicted", "Predicted less true"],
        rows[columns].to_numpy(dtype=object).tolist(),
    )


def _importance(importance: Facts, data: Facts) -> Iterator[Block]:
    yield Drawing(
        "importance",
        "Importance of the columns",
        "A long bar means that predictions get worse when the column is shuffled among the clips; "
        "columns that stand for each other share their importance.",
        mos_figures.importance(importance),
    )
    dropped = data["dropped_columns"]
    reasons = dict.fromkeys(dropped.values())
    yield Table(
        "Columns that are no inputs",
        ["Why", "Number", "Columns"],
        [[why, *_which(n for n, own in dropped.items() if own == why)] for why in reasons],
        f"The model has {counted(len(data['inputs']), 'input')}.",
    )


def _folds(results: Mapping[str, Facts]) -> Iterator[Block]:
    yield Drawing(
        "folds",
        "PLCC of every fold",
        "Each point is a fold of the clips that were not held out; kinds whose points overlap are "
        "about equally good.",
        mos_figures.folds(results),
    )
    yield Table(
        "Mean over the folds",
        ["Model", *_NAMES.values(), "PLCC, largest less smallest"],
        [
            [kind, *(result["mean"][metric] for metric in _NAMES), result["fold_spread"]]
            for kind, result in results.items()
        ],
        "The kind with the best PLCC is exported, unless mos_head.export names one.",
        wide=True,
    )
    yield Table(
        f"Folds (the first {_SHOWN_FOLDS} of each kind)",
        ["Model", "Fold", "PLCC", "95 % from", "To", "SROCC", "RMSE (MOS)"],
        [_fold(kind, fold) for kind, result in results.items() for fold in _ensembles(result)],
    )


def _data(data: Facts) -> Iterator[Block]:
    clips = data["clips"]
    yield Sum(
        ("clips of the table", clips),
        [
            ("with a corpus row", data["with_corpus_row"]),
            ("without a corpus row", data["without_corpus_row"]),
        ],
    )
    parts = data["parts"]
    yield Sum(("clips in all parts", sum(parts.values())), list(parts.items()))
    yield Table(
        "Contradictions found in the data",
        ["What"],
        [[warning] for warning in data.get("warnings", [])],
        "Found before the first fit; the log has them too.",
    )
    mos = data["mos"]
    yield Table(
        "Labels of the table",
        ["What", "Value"],
        [
            *([f"clips of {corpus}", n] for corpus, n in data["clips_per_corpus"].items()),
            ["mean MOS", mos["mean"]],
            ["SD of MOS", mos["sd"]],
            ["lowest MOS", mos["lowest"]],
            ["highest MOS", mos["highest"]],
            [
                "clips whose MOS differs from the corpus",
                data["labels_that_differ_from_the_corpus"],
            ],
        ],
    )


def _origin(data: Facts, parameters: MosHeadParameters) -> Iterator[Block]:
    yield Table(
        "Origin",
        ["What", "Value"],
        [
            ["k150k-pipeline", __version__],
            *([package, version(package)] for package in _PACKAGES),
            ["features scored with", in_words(data["scored_with"])],
            ["judge's features scored with", _judge(data["judge_scored_with"])],
            ["corpus versions", ", ".join(data["corpus_versions"]) or "none"],
            ["held out", data["split_policy"]],
            ["fingerprint of the table", data["fingerprint"]],
        ],
        wide=True,
    )
    yield parameters_table({"mos_head": parameters.model_dump(mode="json")})


def _score_tile(scores: Facts, metric: str, label: str, unit: str = "") -> Tile:
    low, high = scores["intervals"][metric]
    known = low is not None and math.isfinite(low)
    note = f"95 %: {low:.3f} to {high:.3f}" if known else "no interval is defined"
    return Tile(label, scores[metric], unit, note)


def _passed(checks: Sequence[Facts]) -> str:
    return f"{sum(check['passed'] for check in checks)} of {len(checks)} checks passed"


def _against(check: Facts) -> list[Value]:
    bound = "at least" if check["at_least"] else "at most"
    return [f"{bound} {check['threshold']:.4g}", "passed" if check["passed"] else "NOT passed"]


def _sentence(reason: str) -> str:
    """Return a reason of the gate as a sentence."""
    end = "" if reason.endswith((".", "?")) else "."
    return f"{reason[0].upper()}{reason[1:]}{end}"


def _which(names: Iterator[str]) -> list[Value]:
    found = list(names)
    return [len(found), ", ".join(found)]


def _fold(kind: str, fold: Facts) -> list[Value]:
    low, high = fold["intervals"]["plcc"]
    return [kind, fold["fold"], fold["plcc"], low, high, fold["srocc"], fold["rmse"]]


def _ensembles(result: Facts) -> list[Facts]:
    return [fold for fold in result["scores"] if fold["seed"] == "ensemble"][:_SHOWN_FOLDS]


def _judge(engines: dict[str, Any]) -> str:
    return in_words(engines) if engines else "no features of a judge"
