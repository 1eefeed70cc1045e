"""Runners: how the shards are spread over processes, of this machine or of a cluster."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k150k_pipeline.runners.dask import DaskRunner
    from k150k_pipeline.runners.process import ProcessRunner

__all__ = ["DaskRunner", "ProcessRunner"]

_MODULES = {"DaskRunner": "dask", "ProcessRunner": "process"}


def __getattr__(name: str) -> object:
    """Import a runner when it is asked for: Dask is optional, and its workers need no runner."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
