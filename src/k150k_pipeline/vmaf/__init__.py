"""The vmaf runner: one interface, several backends; plans, parsing and aggregation."""

from k150k_pipeline.vmaf.engine import ClipScore, Engine, EngineIdentity
from k150k_pipeline.vmaf.factory import decide_backend, make_engine, settle_backend

__all__ = [
    "ClipScore",
    "Engine",
    "EngineIdentity",
    "decide_backend",
    "make_engine",
    "settle_backend",
]
