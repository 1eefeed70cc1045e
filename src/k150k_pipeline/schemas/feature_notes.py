"""What the values of each feature are: meaning, unit and range, for the data card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from k150k_pipeline.schemas.features import FEATURES


@dataclass(frozen=True, slots=True)
class FeatureNote:
    """What the values of a feature are, per frame and so as a mean over frames.

    Attributes:
        meaning: What it measures.
        unit: Its unit; empty where it has none.
        low: Lowest possible value; None where there is no bound.
        high: Highest possible value, which rounding may exceed by 1e-5; None where there is no
            bound.
    """

    meaning: str
    unit: str
    low: float | None = None
    high: float | None = None


def _note(feature: str) -> FeatureNote:
    family, _, scale = feature.partition("_scale")
    if scale:
        what = {"adm": "detail that is kept (ADM)", "vif": "visual information that is kept (VIF)"}
        return FeatureNote(f"{what[family]} at scale {scale}", "ratio", 0, 1)
    if feature.startswith("psnr_") and feature != "psnr_hvs":
        plane = feature.removeprefix("psnr_")
        return FeatureNote(f"PSNR of {plane}; at most 60 with 8 bits, 72 with 10", "dB", 0, 72)
    return _OTHERS[feature]


_OTHERS: Mapping[str, FeatureNote] = {
    "adm2": FeatureNote("detail that is kept (ADM), all scales", "ratio", 0, 1),
    "motion": FeatureNote("difference of a frame from the one before", "libvmaf's motion score", 0),
    "motion2": FeatureNote("smaller motion, to either neighbour", "libvmaf's motion score", 0),
    "motion3": FeatureNote("motion2, but for the first frame", "libvmaf's motion score", 0),
    "float_ssim": FeatureNote("structural similarity", "index", -1, 1),
    "float_ms_ssim": FeatureNote("structural similarity at five scales", "index", -1, 1),
    "cambi": FeatureNote("banding of the distorted picture; 0 is none", "CAMBI score", 0),
    "ciede2000": FeatureNote("difference of colours; undefined for equal pictures", ""),
    "psnr_hvs": FeatureNote("PSNR weighted by visibility; undefined for equal pictures", ""),
    "ssimulacra2": FeatureNote("SSIMULACRA 2", "index", None, 100),
    "vmaf": FeatureNote("VMAF", "0–100", 0, 100),
}

FEATURE_NOTES: Mapping[str, FeatureNote] = {feature: _note(feature) for feature in FEATURES}
"""A note on each of the 22 features, in the order of the columns."""
