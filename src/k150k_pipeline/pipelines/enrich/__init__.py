"""A features parquet and a metadata sidecar in, the completed parquet out."""

from k150k_pipeline.pipelines.enrich.pipeline import create_pipeline

__all__ = ["create_pipeline"]
