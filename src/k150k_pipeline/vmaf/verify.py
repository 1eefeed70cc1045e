"""Comparison of the identity plan and the full plan on a clip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from k150k_pipeline.schemas.features import FEATURES
from k150k_pipeline.vmaf.aggregate import aggregate
from k150k_pipeline.vmaf.engine import ClipScore
from k150k_pipeline.vmaf.names import EXTRACTOR_FEATURES

VERIFIED_FRAMES = 24
"""Number of frames of a clip that are compared, from the first on."""

PRINTED_DIGIT = 1e-6
"""One unit in the last digit that libvmaf prints."""

_MEASURED = (*EXTRACTOR_FEATURES["cambi"], *EXTRACTOR_FEATURES["motion"])

TOLERANCES: Mapping[str, float] = {
    **dict.fromkeys(FEATURES, PRINTED_DIGIT),
    **dict.fromkeys(_MEASURED, 0.0),
    **dict.fromkeys(EXTRACTOR_FEATURES["adm"], 2e-4),
    **dict.fromkeys(EXTRACTOR_FEATURES["vif"], 2e-4),
    "vmaf": 2e-2,
}
"""Largest permitted difference of a clip's mean and of its standard deviation, per feature.

In adm, vif and vmaf, filmed clips stay below a tenth of it, and nearly flat synthetic gradients
reach half of it (docs/decisions/0004-identity-plan.md).
"""

NATIVE_TOLERANCES: Mapping[str, float] = {**TOLERANCES, **dict.fromkeys(_MEASURED, PRINTED_DIGIT)}
"""The same where the native engine runs the identity plan: its values have more digits than those
that libvmaf prints under the full plan."""


@dataclass(frozen=True)
class Disagreement:
    """One column in which two plans differ by more than the tolerance."""

    column: str
    identity: float
    full: float
    tolerance: float

    def __str__(self) -> str:
        return (
            f"{self.column}: identity plan {self.identity!r}, full plan {self.full!r} "
            f"(tolerance {self.tolerance:g})"
        )


def compare_plans(
    identity: ClipScore, full: ClipScore, tolerances: Mapping[str, float] = TOLERANCES
) -> list[Disagreement]:
    """Return the columns of a clip in which the two plans disagree."""
    disagreements = [
        Disagreement(f"{feature}_{statistic}", left, right, tolerances[feature])
        for (statistic, feature), left, right in zip(
            [(s, f) for s in ("mean", "std") for f in FEATURES],
            aggregate(identity.values),
            aggregate(full.values),
            strict=True,
        )
        if not _agree(left, right, tolerances[feature])
    ]
    if identity.frames != full.frames:
        disagreements.append(Disagreement("frames", identity.frames, full.frames, 0))
    return disagreements


def _agree(left: float, right: float, tolerance: float) -> bool:
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return abs(left - right) <= tolerance
