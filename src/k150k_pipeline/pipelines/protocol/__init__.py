"""A features table with a MOS column in, the published protocol's figures out."""

from k150k_pipeline.pipelines.protocol.pipeline import create_pipeline

__all__ = ["create_pipeline"]
