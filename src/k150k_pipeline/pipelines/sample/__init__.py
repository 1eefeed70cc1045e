"""A small synthetic drop in K150K-A's shape, made by ffmpeg from nothing."""

from k150k_pipeline.pipelines.sample.pipeline import create_pipeline

__all__ = ["create_pipeline"]
