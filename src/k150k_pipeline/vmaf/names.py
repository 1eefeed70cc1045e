"""Extractors of libvmaf, and the names of their features in its log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

EXTRACTOR_FEATURES: Mapping[str, tuple[str, ...]] = {
    "adm": ("adm2", "adm_scale0", "adm_scale1", "adm_scale2", "adm_scale3"),
    "vif": ("vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3"),
    "motion": ("motion", "motion2", "motion3"),
    "psnr": ("psnr_y", "psnr_cb", "psnr_cr"),
    "float_ssim": ("float_ssim",),
    "float_ms_ssim": ("float_ms_ssim",),
    "cambi": ("cambi",),
    "ciede": ("ciede2000",),
    "psnr_hvs": ("psnr_hvs",),
    "ssimulacra2": ("ssimulacra2",),
}
"""Features of each extractor, under the names of their columns."""

MOTION_V2_KEY = "VMAF_integer_feature_motion_v2_sad_score"
"""Key in the log of a binary that has ``motion_v2``; this extractor adds no column."""

_UPSTREAM_NAMES = {"motion": "VMAF_integer_feature_motion_sad_score"}


def candidate_keys(feature: str) -> tuple[str, ...]:
    """Return the log keys that a feature may have, the preferred one first."""
    upstream = (_UPSTREAM_NAMES[feature],) if feature in _UPSTREAM_NAMES else ()
    return (f"integer_{feature}", *upstream, feature)


def similar_keys(feature: str, keys: Iterable[str]) -> tuple[str, ...]:
    """Return the log keys that begin as a feature's do.

    libvmaf appends options that differ from their defaults, as in ``integer_motion_mfw_2.4``.
    The values of such a key differ from those of the plain one.
    """
    starts = tuple(f"{name}_" for name in candidate_keys(feature))
    return tuple(key for key in keys if key.startswith(starts))
