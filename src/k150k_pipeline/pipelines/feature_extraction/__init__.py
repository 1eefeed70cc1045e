"""Clips and scores in, the 48-column features parquet out."""

from k150k_pipeline.pipelines.feature_extraction.pipeline import create_pipeline

__all__ = ["create_pipeline"]
