"""The vmaf runner: one interface, three backends; plans, parsing and aggregation."""

from k150k_pipeline.vmaf.engine import ClipScore, Engine, EngineIdentity
from k150k_pipeline.vmaf.factory import make_engine

__all__ = ["ClipScore", "Engine", "EngineIdentity", "make_engine"]
