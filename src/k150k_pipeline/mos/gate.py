"""The gate: whether a model is promoted or held back, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping

from k150k_pipeline.mos.ceiling import Ceiling
from k150k_pipeline.mos.types import (
    Baselines,
    BoundedScores,
    Check,
    GateVerdict,
    Judgement,
    Metric,
    Scores,
)
from k150k_pipeline.mos.words import labels_in_words
from k150k_pipeline.plural import counted
from k150k_pipeline.schemas.mos_parameters import GateParameters

_OF_CEILING = " ceiling"
_NAMES = {
    "plcc": "the PLCC",
    "srocc": "the SROCC",
    "rmse": "the RMSE",
    "spread": "the spread of PLCC over the seeds",
    "clips": "the number of clips",
}
_THOUSAND = 1000
_DECIMALS = 4
_LEAST_CEILING = 0.3  # below it, columns reach a share of the ceiling by luck
_AFTER_THE_FIT: tuple[tuple[str, Metric], ...] = (
    ("plcc", "plcc_logistic"),
    ("rmse", "rmse_logistic"),
)
_REPORTED: tuple[Metric, ...] = ("plcc", "srocc", "krocc", "rmse")


def decide(
    judged: Judgement,
    ceiling: Ceiling,
    baselines: Baselines,
    gate: GateParameters,
    judged_on: str,
    seed_matters: bool,
) -> GateVerdict:
    """Compare the scores of a model with the thresholds.

    Args:
        judged: Scores of the model.
        ceiling: Ceiling of the labels it was judged on.
        baselines: Scores to compare with.
        gate: Thresholds.
        judged_on: Which clips it was judged on, in words.
        seed_matters: Whether the seed changes a fit of this kind of model.
    """
    checks = [*_check_all(judged, gate), *_check_ceiling(judged, ceiling)]
    promoted = all(check["passed"] for check in checks)
    return {
        "verdict": "PROMOTE" if promoted else "HOLD",
        "judged_on": judged_on,
        "checks": checks,
        "reasons": [
            *_failures(checks, judged_on),
            *_remarks(judged, ceiling, baselines, gate, judged_on, seed_matters),
        ],
        "scores": judged,
        "ceiling": ceiling.as_dict(),
        **baselines,
    }


def _check_all(judged: Judgement, gate: GateParameters) -> list[Check]:
    mean = judged["mean"]
    return [
        _check("plcc", mean["plcc"], gate.plcc, at_least=True),
        _check("srocc", mean["srocc"], gate.srocc, at_least=True),
        _check("rmse", mean["rmse"], gate.rmse, at_least=False),
        _check("spread", judged["seed_spread"], gate.spread, at_least=False),
        _check("clips", judged["clips"], gate.min_clips, at_least=True),
    ]


def _check_ceiling(judged: Judgement, ceiling: Ceiling) -> list[Check]:
    """Compare the better of a member's mean score and the ensemble's with a perfect predictor's."""
    metrics: tuple[Metric, ...] = ("plcc", "srocc")
    highest = zip(metrics, ceiling.highest(judged["contents"]), strict=True)
    checks = []
    for metric, high in highest:
        scores = (judged["mean"][metric], judged["ensemble"][metric])
        if defined := [score for score in scores if math.isfinite(score)]:
            name = f"{metric}{_OF_CEILING}"
            checks.append(_check(name, max(defined), high, at_least=False))
    return checks


def title(verdict: GateVerdict) -> str:
    """Return ``MOS_PROMOTE`` or ``MOS_HOLD``, which is also the name of the verdict's file."""
    return f"MOS_{verdict['verdict']}"


def describe(verdict: GateVerdict) -> str:
    """Return a verdict as a few lines of text, for the log."""
    scores, ceiling = verdict["scores"], verdict["ceiling"]
    vmaf = {"its mean": verdict["vmaf_only"]} if verdict["vmaf_only"] else None
    lines = [
        (
            f"{title(verdict)}: judged on {verdict['judged_on']}, {scores['clips']:,} clips of "
            f"{scores['contents']:,} contents; MOS {labels_in_words(scores['mos'])}"
        ),
        *(_describe_check(check) for check in verdict["checks"]),
        _describe_ensemble(scores["ensemble"]),
        (
            f"  (a) label ceiling: PLCC {ceiling['plcc']:.3f}, SROCC {ceiling['srocc']:.3f}, RMSE "
            f"{ceiling['rmse']:.3f} ({ceiling['votes']:.4g} votes per clip of SD "
            f"{ceiling['vote_sd']:.3f}, from {ceiling['source']})"
        ),
        f"  (b) always predicting the mean: RMSE {_number(verdict['mean_predictor_rmse'])}",
        f"  (c) metadata only: {_baseline(verdict['metadata_only'])}",
        f"  (d) VMAF only: {_baseline(vmaf)}",
        f"  (e) best single columns: {_alone(verdict['columns_alone'])}",
        *(f"  ! {reason}" for reason in verdict["reasons"]),
    ]
    return "\n".join(lines)


def _describe_check(check: Check) -> str:
    bound = "at least" if check["at_least"] else "at most"
    passed = "passed" if check["passed"] else "NOT passed"
    return (
        f"  {check['name']:13} {_number(check['value'])} "
        f"(gate: {bound} {_number(check['threshold'])}) {passed}"
    )


def _describe_ensemble(ensemble: BoundedScores) -> str:
    raw = [_bounded(ensemble, metric, metric) for metric in _REPORTED]
    fitted = [_bounded(ensemble, name, metric) for name, metric in _AFTER_THE_FIT]
    return f"  ensemble, 95 %: {', '.join(raw)}; after the logistic fit {', '.join(fitted)}"


def _bounded(ensemble: BoundedScores, name: str, metric: Metric) -> str:
    interval, value = _range(ensemble["intervals"][metric]), ensemble[metric]
    return f"{name.upper()} {_number(value)}{f' {interval}' if math.isfinite(value) else ''}"


def _check(name: str, value: float, threshold: float, *, at_least: bool) -> Check:
    passed = value >= threshold if at_least else value <= threshold  # NaN passes neither
    return {
        "name": name,
        "value": value,
        "threshold": threshold,
        "at_least": at_least,
        "passed": bool(passed),
    }


def _failures(checks: list[Check], judged_on: str) -> list[str]:
    return [_failure(check, judged_on) for check in checks if not check["passed"]]


def _failure(check: Check, judged_on: str) -> str:
    name, value, threshold = check["name"], check["value"], check["threshold"]
    metric = _NAMES[name.removesuffix(_OF_CEILING)]
    if not math.isfinite(value):
        return f"{metric} is not defined: the predictions or the labels do not vary enough"
    if name.endswith(_OF_CEILING):
        return (
            f"{metric} is {_number(value)}, above what these labels allow ({threshold:.4g}): look "
            "for a leak, such as an input that was made from the labels. If the labels have more "
            "votes than the ceiling assumes, give them in mos_head.ceiling"
        )
    if name == "clips":
        clips = f"{counted(int(value), 'clip')} in {judged_on}"
        few = f"fewer than the gate's {_number(threshold)}"
        return f"there {_is(value)} only {clips}, {few}: too few to judge any model by"
    side = "below" if check["at_least"] else "above"
    return f"{metric} is {_number(value)}, {side} the gate's {_number(threshold)}"


def _is(number: float) -> str:
    return "is" if number == 1 else "are"


def _remarks(
    judged: Judgement,
    ceiling: Ceiling,
    baselines: Baselines,
    gate: GateParameters,
    judged_on: str,
    seed_matters: bool,
) -> list[str]:
    remarks = _leading_columns(baselines["columns_alone"], ceiling, gate.column_share)
    if ceiling.plcc < gate.plcc or ceiling.srocc < gate.srocc or ceiling.rmse > gate.rmse:
        remarks.append(
            f"no predictor can pass this gate on these labels: with {ceiling.votes:.3g} votes per "
            f"clip even a perfect one reaches about PLCC {ceiling.plcc:.3f}, SROCC "
            f"{ceiling.srocc:.3f}, RMSE {ceiling.rmse:.3f}. The judge must have more votes a clip: "
            "the K150K-B labels. Extract them (extract.corpus=k150kb) and give "
            "mos_head.judge_features"
        )
    if baselines["mean_predictor_rmse"] <= gate.rmse:
        remarks.append(
            f"the RMSE threshold of {gate.rmse:g} says nothing here: always predicting the mean "
            f"already gives {baselines['mean_predictor_rmse']:.3f}"
        )
    clips = f"the {counted(judged['clips'], 'clip')} of {judged_on}"
    remarks += _of_the_fit(judged["ensemble"], clips)
    if not seed_matters:
        remarks.append("the spread over seeds is 0 by construction: this model has no randomness")
    return remarks


def _of_the_fit(ensemble: BoundedScores, clips: str) -> list[str]:
    """Return what a reader must know of PLCC and RMSE after the fit, where that is not usual."""
    if not math.isfinite(ensemble["rmse_logistic"]):
        return [
            f"the logistic fit found no curve for {clips}, so PLCC and RMSE after it are undefined"
        ]
    if ensemble["plcc"] < 0 < ensemble["plcc_logistic"]:
        return [
            (
                "the logistic curve falls: the predictions run against MOS, and PLCC and RMSE "
                "after the fit hide it"
            )
        ]
    return []


def _leading_columns(alone: Mapping[str, float], ceiling: Ceiling, share: float) -> list[str]:
    return [
        f"column {column!r} alone reaches {value:.3f} of the ceiling's {ceiling.plcc:.3f}, a share "
        f"of at least {share:g} (gate.column_share): look whether it was made from the labels"
        for column, value in alone.items()
        if value >= share * max(ceiling.plcc, _LEAST_CEILING)
    ]


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "undefined"
    if abs(value) >= _THOUSAND:
        return f"{value:,.0f}"
    text = f"{value:.4g}"
    decimals = text.partition(".")[2]
    return f"{value:.{_DECIMALS}f}" if "e" in text or len(decimals) > _DECIMALS else text


def _range(interval: list[float]) -> str:
    return f"[{_number(interval[0])}, {_number(interval[1])}]"


def _alone(columns: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in columns.items()) or "none"


def _baseline(scores: Mapping[str, Scores] | None) -> str:
    if scores is None:
        return "its columns do not tell clips apart"
    return "; ".join(
        f"{name} PLCC {_number(s['plcc'])}, SROCC {_number(s['srocc'])}, RMSE {_number(s['rmse'])}"
        for name, s in scores.items()
    )
