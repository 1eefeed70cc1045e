"""Which encoders an FR sweep may use, and with which presets and CRFs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from k150k_pipeline.errors import InputError

_X26X_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)


@dataclass(frozen=True)
class EncoderLimits:
    """The presets and CRFs that an encoder accepts.

    Attributes:
        presets: Names of its presets.
        lowest_crf: Lowest CRF, the best quality.
        highest_crf: Highest CRF.
    """

    presets: tuple[str, ...]
    lowest_crf: int
    highest_crf: int


ENCODER_LIMITS: Mapping[str, EncoderLimits] = {
    "libx264": EncoderLimits(_X26X_PRESETS, 0, 51),
    "libx265": EncoderLimits(_X26X_PRESETS, 0, 51),
    "libsvtav1": EncoderLimits(tuple(map(str, range(14))), 1, 63),
    "libvpx-vp9": EncoderLimits(tuple(map(str, range(9))), 0, 63),
}
"""The encoders that a sweep may use, if the ffmpeg in use has them."""


def check_sweep(encoder: str, preset: str, crf_sweep: Sequence[int]) -> None:
    """Refuse a sweep that cannot be encoded.

    Raises:
        InputError: Encoder or preset is unknown; there is no CRF; or a CRF is out of range or
            named twice.
    """
    if encoder not in ENCODER_LIMITS:
        raise InputError(f"encoder {encoder!r} is unknown; choose {', '.join(ENCODER_LIMITS)}")
    limits = ENCODER_LIMITS[encoder]
    if preset not in limits.presets:
        raise InputError(f"{encoder} has no preset {preset!r}; choose {', '.join(limits.presets)}")
    if not crf_sweep:
        raise InputError("crf_sweep is empty; name at least one CRF, such as 28")
    if bad := [crf for crf in crf_sweep if not limits.lowest_crf <= crf <= limits.highest_crf]:
        raise InputError(
            f"crf_sweep: {bad} is out of range; {encoder} accepts "
            f"{limits.lowest_crf} to {limits.highest_crf}"
        )
    if repeated := sorted({crf for crf in crf_sweep if list(crf_sweep).count(crf) > 1}):
        raise InputError(f"crf_sweep has {repeated} more than once; name each CRF once")
