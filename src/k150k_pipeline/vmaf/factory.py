"""Which engine the parameters name."""

from __future__ import annotations

import functools
import logging

from k150k_pipeline.errors import EngineError
from k150k_pipeline.schemas.parameters import PlanName, VmafParameters
from k150k_pipeline.vmaf.core import load_library
from k150k_pipeline.vmaf.embedded import EmbeddedEngine
from k150k_pipeline.vmaf.engine import Engine
from k150k_pipeline.vmaf.fork import CpuEngine, CudaEngine
from k150k_pipeline.vmaf.native import NativeEngine

logger = logging.getLogger(__name__)

_ENGINES: dict[
    str, type[NativeEngine] | type[EmbeddedEngine] | type[CpuEngine] | type[CudaEngine]
] = {
    "native": NativeEngine,
    "embedded": EmbeddedEngine,
    "cpu": CpuEngine,
    "cuda": CudaEngine,
}


def decide_backend(parameters: VmafParameters, plan: PlanName = "identity") -> VmafParameters:
    """Replace ``auto`` by the engine that scores under a plan here, and log which engine it is.

    A run decides once, when it is planned, so that all its processes use one engine.
    """
    if parameters.backend == "auto" and plan == "full":
        decided, why = parameters.model_copy(update={"backend": "embedded"}), ", for plan full"
    else:
        decided, why = settle_backend(parameters)
    logger.info("Engine: %s%s", decided.backend, why)
    return decided


@functools.lru_cache(maxsize=4)
def make_engine(parameters: VmafParameters) -> Engine:
    """Return the engine that ``vmaf.backend`` names; one per process and parameters.

    Raises:
        EngineError: There is no ffmpeg to decode with, or no library to score with.
    """
    decided, _ = settle_backend(parameters)
    return _ENGINES[decided.backend](decided)


def tools_per_clip(parameters: VmafParameters) -> int:
    """Return how many tools the engine runs on a clip, one after the other."""
    decided, _ = settle_backend(parameters)
    return _ENGINES[decided.backend].tools


def settle_backend(parameters: VmafParameters) -> tuple[VmafParameters, str]:
    """Return the parameters with ``native``, if there is the library, or ``embedded`` for ``auto``.

    Returns:
        The parameters; why the library cannot be used, for a message, else nothing.
    """
    if parameters.backend != "auto":
        return parameters, ""
    try:
        load_library()
    except EngineError as error:
        return parameters.model_copy(update={"backend": "embedded"}), f", because {error}"
    return parameters.model_copy(update={"backend": "native"}), ""
