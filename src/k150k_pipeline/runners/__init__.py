"""Runners: how the shards are spread over processes."""

from k150k_pipeline.runners.process import ProcessRunner

__all__ = ["ProcessRunner"]
