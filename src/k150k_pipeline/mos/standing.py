"""Where a judged model stands between its baselines and its ceiling, as numbers and sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from k150k_pipeline.mos.ceiling import Ceiling
from k150k_pipeline.mos.types import Metric

Role = Literal["ceiling", "model", "baseline"]

_COMPARED: tuple[Metric, ...] = ("plcc", "srocc", "rmse")
_PERFECT = "perfect predictor (the ceiling)"
_ENSEMBLE = "this model, exported ensemble"
_SEEDS = "this model, mean of its seeds"
_UNDEFINED = (math.nan, math.nan)

Verdict = Mapping[str, Any]
"""A verdict as ``mos_head_metrics.json`` has it, with null for what is not defined."""


@dataclass(frozen=True)
class Standing:
    """One score of the model, of a baseline, or of a perfect predictor.

    Attributes:
        name: Whose score it is.
        role: What this is.
        metric: The metric.
        value: The score; NaN where it is not defined.
        low: Lower end of its 95 % interval; NaN where none is known.
        high: Upper end.
    """

    name: str
    role: Role
    metric: Metric
    value: float
    low: float = math.nan
    high: float = math.nan


def standings(verdict: Verdict) -> list[Standing]:
    """Return PLCC, SROCC and RMSE of the ceiling, the model and the baselines, the best first."""
    return [*_of_ceiling(verdict), *_of_model(verdict["scores"]), *_of_baselines(verdict)]


def against_baselines(verdict: Verdict) -> str:
    """Return whether the model is better than its baselines, as a sentence or two."""
    scores = verdict["scores"]["ensemble"]
    plcc, (low, high) = _number(scores["plcc"]), _interval(scores, "plcc")
    known = [s for s in _of_baselines(verdict) if s.metric == "plcc" and math.isfinite(s.value)]
    if not math.isfinite(plcc):
        return "Not known: the PLCC of the model is not defined."
    of_mean = _against_the_mean(verdict)
    if not known:
        return f"No baseline has a PLCC to compare with. {of_mean}".strip()
    best = max(known, key=lambda standing: abs(standing.value))
    answer, where = _compare(abs(best.value), plcc, low, high)
    return (
        f"{answer} Its PLCC is {plcc:.3f}{_bounds(low, high)}; the best baseline, {best.name}, "
        f"has {best.value:.3f}, {where}. {of_mean}"
    ).strip()


def below_the_ceiling(verdict: Verdict) -> str:
    """Return how far the model is from a perfect predictor of these labels, in sentences."""
    ceiling, (low, high) = _ceiling(verdict), _ceiling_ends(verdict)["plcc"]
    plcc = _number(verdict["scores"]["ensemble"]["plcc"])
    why = (
        f"A perfect predictor of these labels has a PLCC of about {ceiling.plcc:.3f}"
        f"{_bounds(low, high)} on as many clips, because a label is the mean of "
        f"{ceiling.votes:.3g} votes whose SD is {ceiling.vote_sd:.2f} MOS."
    )
    if not math.isfinite(plcc):
        return f"{why} The PLCC of the model is not defined."
    return f"{why} {_distance(plcc, ceiling.plcc, low, high)}"


def _compare(baseline: float, plcc: float, low: float, high: float) -> tuple[str, str]:
    if not math.isfinite(low):
        answer = "Its score is higher" if plcc > baseline else "Its score is not higher"
        return f"{answer}, but it has no interval, so this may be luck.", "to compare with"
    if baseline < low:
        return "Yes.", "below that interval"
    if baseline > high:
        return "No, it is worse.", "above that interval"
    return "Not clearly.", "inside that interval"


def _against_the_mean(verdict: Verdict) -> str:
    own = _number(verdict["scores"]["ensemble"]["rmse"])
    mean = _number(verdict["mean_predictor_rmse"])
    if not (math.isfinite(own) and math.isfinite(mean)):
        return ""
    side = "less" if own < mean else "no less"
    return (
        f"Its RMSE is {own:.3f} MOS, {side} than the {mean:.3f} MOS of always predicting the mean."
    )


def _distance(plcc: float, ceiling: float, low: float, high: float) -> str:
    share = f", {plcc / ceiling:.0%} of it" if ceiling > 0 and plcc > 0 else ""
    if plcc > high:
        return (
            f"The model has {plcc:.3f}, which is more than luck explains: look for an input that "
            "was made from the labels."
        )
    if plcc >= low:
        return (
            f"The model has {plcc:.3f}{share}, inside that interval: by these labels it cannot be "
            "told from a perfect one."
        )
    return f"The model has {plcc:.3f}{share}: {ceiling - plcc:.3f} is left to gain."


def _of_ceiling(verdict: Verdict) -> Iterator[Standing]:
    ceiling, ends = _ceiling(verdict), _ceiling_ends(verdict)
    for metric in _COMPARED:
        value = {"plcc": ceiling.plcc, "srocc": ceiling.srocc, "rmse": ceiling.rmse}[metric]
        yield Standing(_PERFECT, "ceiling", metric, value, *ends.get(metric, _UNDEFINED))


def _of_model(scores: Mapping[str, Any]) -> Iterator[Standing]:
    for metric in _COMPARED:
        together = _number(scores["ensemble"][metric])
        ends = _interval(scores["ensemble"], metric)
        yield Standing(_ENSEMBLE, "model", metric, together, *ends)
        yield Standing(_SEEDS, "model", metric, _number(scores["mean"][metric]))


def _of_baselines(verdict: Verdict) -> Iterator[Standing]:
    named = {
        f"metadata only, {kind}": scores
        for kind, scores in (verdict["metadata_only"] or {}).items()
    }
    if verdict["vmaf_only"]:
        named["VMAF column only"] = verdict["vmaf_only"]
    for name, scores in named.items():
        for metric in _COMPARED:
            yield Standing(name, "baseline", metric, _number(scores[metric]))
    mean = _number(verdict["mean_predictor_rmse"])
    yield Standing("always the mean MOS", "baseline", "rmse", mean)


def _ceiling(verdict: Verdict) -> Ceiling:
    fields: dict[str, Any] = {
        key: value if isinstance(value, str) else _number(value)
        for key, value in verdict["ceiling"].items()
    }
    return Ceiling(**fields)


def _ceiling_ends(verdict: Verdict) -> dict[Metric, tuple[float, float]]:
    ceiling, contents = _ceiling(verdict), verdict["scores"]["contents"]
    plcc, srocc = zip(ceiling.lowest(contents), ceiling.highest(contents), strict=True)
    return {"plcc": plcc, "srocc": srocc}


def _interval(scores: Mapping[str, Any], metric: Metric) -> tuple[float, float]:
    low, high = scores["intervals"][metric]
    return _number(low), _number(high)


def _bounds(low: float, high: float) -> str:
    return f" (95 %: {low:.3f} to {high:.3f})" if _known(low) and _known(high) else ""


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _number(value: float | None) -> float:
    return value if _known(value) else math.nan
