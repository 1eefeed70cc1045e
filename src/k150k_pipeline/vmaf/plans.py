"""Plans: which features of an identity pair are measured, and the values of the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from k150k_pipeline.errors import ClipError, EngineError
from k150k_pipeline.media.ffmpeg import scored_pixel_format
from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.schemas.features import FEATURES
from k150k_pipeline.schemas.parameters import BUILT_IN_MODEL, PlanName
from k150k_pipeline.vmaf.folded import load_folded_model
from k150k_pipeline.vmaf.log import FrameValues
from k150k_pipeline.vmaf.names import EXTRACTOR_FEATURES

_CAMBI_MIN_LONGER_SIDE = 216
_MS_SSIM_MIN_SIDE = 176
_PSNR_CEILING = {"yuv420p": 60.0, "yuv420p10le": 72.0}
IDENTITY_CONSTANTS: Mapping[str, float] = {
    # Typical results of libvmaf's integer arithmetic for a filmed frame against itself. Those of
    # adm2 and vif are in the folded model, which was made for the same values.
    "adm_scale0": 1.000005,
    "adm_scale1": 1.0,
    "adm_scale2": 1.0,
    "adm_scale3": 1.0,
    "float_ssim": 1.0,
    "float_ms_ssim": 1.0,
    "ssimulacra2": 100.0,
    "ciede2000": np.nan,
    "psnr_hvs": np.nan,
}


@dataclass(frozen=True)
class Plan:
    """What an engine runs on one clip.

    Attributes:
        name: ``identity`` or ``full``.
        extractors: Extractors to run: keys of ``EXTRACTOR_FEATURES``.
        with_model: Whether the engine runs the VMAF model itself.
    """

    name: PlanName
    extractors: tuple[str, ...]
    with_model: bool

    @property
    def measured(self) -> tuple[str, ...]:
        """Features that the engine returns under this plan, in column order."""
        returned = {f for extractor in self.extractors for f in EXTRACTOR_FEATURES[extractor]}
        return tuple(f for f in FEATURES if f in returned or (f == "vmaf" and self.with_model))

    def without(self, features: Collection[str]) -> Plan:
        """Return the plan without the extractors that return only these features."""
        kept = tuple(e for e in self.extractors if not set(EXTRACTOR_FEATURES[e]) <= set(features))
        return Plan(self.name, kept, self.with_model)

    def require_model(self, model: str) -> None:
        """Refuse a model that the plan cannot compute.

        Raises:
            EngineError: The plan fills ``vmaf`` in, which it can for the built-in model alone.
        """
        if not self.with_model and model != BUILT_IN_MODEL:
            raise EngineError(
                f"vmaf.model {model}: plan {self.name} computes vmaf of {BUILT_IN_MODEL} alone. "
                "Set extract.plan=full to run another model"
            )


IDENTITY = Plan("identity", ("motion", "cambi"), with_model=False)
FULL = Plan("full", tuple(EXTRACTOR_FEATURES), with_model=True)
PLANS: Mapping[PlanName, Plan] = {"identity": IDENTITY, "full": FULL}


def unmeasurable_features(clip: ClipInfo) -> tuple[str, ...]:
    """Return the features for which a clip is too small."""
    features: list[str] = []
    if min(clip.width, clip.height) < _MS_SSIM_MIN_SIDE:
        features.append("float_ms_ssim")
    if max(clip.width, clip.height) < _CAMBI_MIN_LONGER_SIDE:
        features.append("cambi")
    return tuple(features)


def undefined_features(clip: ClipInfo) -> tuple[str, ...]:
    """Return the features of which libvmaf returns arbitrary values for a clip.

    Its ciede reads past the end of the chroma planes of a picture of odd height.
    """
    return ("ciede2000",) if clip.height % 2 else ()


def refuse_small(clip: ClipInfo) -> None:
    """Refuse a clip that is too small for an extractor.

    Raises:
        ClipError: Stage ``probe``, reason ``too_small``.
    """
    if features := unmeasurable_features(clip):
        raise ClipError(
            "probe",
            "too_small",
            f"{clip.path}: {clip.width}x{clip.height} is too small for {', '.join(features)} "
            "(extract.small_clips: nan keeps the clip and leaves these columns empty)",
        )


def complete(clip: ClipInfo, measured: FrameValues, frames: int) -> FrameValues:
    """Fill in the values that an identity pair has in the features that were not measured.

    Args:
        clip: The clip; its bit depth sets the PSNR ceiling, and its size what is NaN.
        measured: Features that the engine returned, shape (frames,) each.
        frames: Number of frames.

    Returns:
        All 22 features in column order, shape (frames,) each.
    """
    empty = unmeasurable_features(clip)
    return {
        feature: np.full(frames, np.nan)
        if feature in empty
        else measured[feature]
        if feature in measured
        else _filler(feature, clip)(measured, frames)
        for feature in FEATURES
    }


_Filler = Callable[[FrameValues, int], npt.NDArray[np.float64]]


def _filler(feature: str, clip: ClipInfo) -> _Filler:
    if feature == "vmaf":
        return lambda measured, _: load_folded_model().predict(measured["motion2"])
    if feature in EXTRACTOR_FEATURES["psnr"]:
        ceiling = _PSNR_CEILING[scored_pixel_format(clip)]
        return lambda _, frames: np.full(frames, ceiling)
    constants = {**IDENTITY_CONSTANTS, **load_folded_model().fixed_features}
    return lambda _, frames: np.full(frames, constants[feature])
