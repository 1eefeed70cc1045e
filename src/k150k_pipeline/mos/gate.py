"""The production-flip gate: promote or hold, and what a reader needs to judge the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from k150k_pipeline.mos.ceiling import Ceiling
from k150k_pipeline.schemas.mos_parameters import GateParameters

PROMOTE, HOLD = "MOS_PROMOTE.json", "MOS_HOLD.json"


def verdict(
    judged: Mapping[str, Any],
    ceiling: Ceiling,
    baselines: Mapping[str, Any],
    gate: GateParameters,
    judged_on: str,
    seed_matters: bool,
) -> dict[str, Any]:
    """Compare a judged model with the thresholds.

    Args:
        judged: What :func:`judging.judge` returned.
        ceiling: Of the labels judged on.
        baselines: What :func:`judging.baselines` returned.
        gate: Thresholds.
        judged_on: Which rows they are, in words.
        seed_matters: Whether the seed changes a fit at all.

    Returns:
        ``verdict`` (``PROMOTE`` or ``HOLD``), ``checks``, ``reasons`` in words, and the numbers.
    """
    mean = judged["mean"]
    checks = [
        _check("plcc", mean["plcc"], gate.plcc, at_least=True),
        _check("srocc", mean["srocc"], gate.srocc, at_least=True),
        _check("rmse", mean["rmse"], gate.rmse, at_least=False),
        _check("spread", judged["seed_spread"], gate.spread, at_least=False),
        _check("clips", judged["clips"], gate.min_clips, at_least=True),
    ]
    promoted = all(check["passed"] for check in checks)
    return {
        "verdict": "PROMOTE" if promoted else "HOLD",
        "judged_on": judged_on,
        "checks": checks,
        "reasons": [
            *_failures(checks),
            *_remarks(checks, ceiling, baselines, gate, judged_on, seed_matters),
        ],
        "scores": dict(judged),
        "ceiling": ceiling.as_dict(),
        **baselines,
    }


def file_name(found: Mapping[str, Any]) -> str:
    """Return the name under which a verdict is written."""
    return PROMOTE if found["verdict"] == "PROMOTE" else HOLD


def describe(found: Mapping[str, Any]) -> str:
    """Return a verdict in a few lines, for the log."""
    scores, ceiling = found["scores"], found["ceiling"]
    vmaf = {"its mean": found["vmaf_only"]} if found["vmaf_only"] else None
    lines = [
        (
            f"MOS_{found['verdict']}: judged on {found['judged_on']}, {scores['clips']} clips of "
            f"{scores['contents']} contents"
        ),
        *(_describe_check(check) for check in found["checks"]),
        _describe_ensemble(scores),
        (
            f"  (a) label ceiling: PLCC {ceiling['plcc']:.3f}, SROCC {ceiling['srocc']:.3f}, RMSE "
            f"{ceiling['rmse']:.3f} ({ceiling['votes']:.3g} votes per clip of SD "
            f"{ceiling['vote_sd']:.3f}, from {ceiling['source']})"
        ),
        f"  (b) always predicting the mean: RMSE {_number(found['mean_predictor_rmse'])}",
        f"  (c) metadata only: {_baseline(found['metadata_only'])}",
        f"  (d) VMAF only: {_baseline(vmaf)}",
        *(f"  ! {reason}" for reason in found["reasons"]),
    ]
    return "\n".join(lines)


def _describe_check(check: Mapping[str, Any]) -> str:
    bound = "at least" if check["at_least"] else "at most"
    passed = "passed" if check["passed"] else "NOT passed"
    return (
        f"  {check['name']:6} {_number(check['value'])} "
        f"(gate: {bound} {check['threshold']:g}) {passed}"
    )


def _describe_ensemble(scores: Mapping[str, Any]) -> str:
    together = scores["ensemble"]
    parts = [
        f"{name.upper()} {_number(together[name])} {_range(together['intervals'][name])}"
        for name in ("plcc", "srocc", "krocc", "rmse")
    ]
    fitted = _number(together["plcc_logistic"])
    return f"  ensemble, 95 %: {', '.join(parts)}; PLCC after the logistic fit {fitted}"


def _check(name: str, value: float, threshold: float, *, at_least: bool) -> dict[str, Any]:
    passed = value >= threshold if at_least else value <= threshold  # NaN passes neither
    return {
        "name": name,
        "value": value,
        "threshold": threshold,
        "at_least": at_least,
        "passed": bool(passed),
    }


def _failures(checks: list[dict[str, Any]]) -> list[str]:
    return [
        f"{c['name']} is {_number(c['value'])}, "
        f"{'below' if c['at_least'] else 'above'} the gate's {c['threshold']:g}"
        if math.isfinite(c["value"])
        else f"{c['name']} is not defined: the predictions or the labels do not vary enough"
        for c in checks
        if not c["passed"]
    ]


def _remarks(
    checks: list[dict[str, Any]],
    ceiling: Ceiling,
    baselines: Mapping[str, Any],
    gate: GateParameters,
    judged_on: str,
    seed_matters: bool,
) -> list[str]:
    remarks = []
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
    if checks[-1]["value"] < gate.min_clips:
        remarks.append(
            f"{checks[-1]['value']} clips in {judged_on} are too few to judge any model by"
        )
    if not seed_matters:
        remarks.append("the spread over seeds is 0 by construction: this model has no randomness")
    return remarks


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "undefined"


def _range(interval: list[float]) -> str:
    return f"[{_number(interval[0])}, {_number(interval[1])}]"


def _baseline(scores: Mapping[str, Mapping[str, float]] | None) -> str:
    if scores is None:
        return "its columns do not tell clips apart"
    return "; ".join(
        f"{name} PLCC {_number(s['plcc'])}, SROCC {_number(s['srocc'])}, RMSE {_number(s['rmse'])}"
        for name, s in scores.items()
    )
