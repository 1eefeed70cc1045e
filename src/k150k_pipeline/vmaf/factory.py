"""Which engine the parameters name."""

from __future__ import annotations

import functools

from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf.embedded import EmbeddedEngine
from k150k_pipeline.vmaf.engine import Engine
from k150k_pipeline.vmaf.fork import CpuEngine, CudaEngine
from k150k_pipeline.vmaf.native import NativeEngine

_ENGINES: dict[
    str, type[NativeEngine] | type[EmbeddedEngine] | type[CpuEngine] | type[CudaEngine]
] = {
    "native": NativeEngine,
    "embedded": EmbeddedEngine,
    "cpu": CpuEngine,
    "cuda": CudaEngine,
}


@functools.lru_cache(maxsize=4)
def make_engine(parameters: VmafParameters) -> Engine:
    """Return the engine that ``vmaf.backend`` names; one per process and parameters.

    Raises:
        EngineError: There is no ffmpeg to decode with.
    """
    return _ENGINES[parameters.backend](parameters)


def tools_per_clip(parameters: VmafParameters) -> int:
    """Return how many tools the engine runs on a clip, one after the other."""
    return _ENGINES[parameters.backend].tools
