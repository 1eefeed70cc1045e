"""The extract pipeline: from clips and scores to the 48-column features parquet."""

from k150k_pipeline.pipelines.feature_extraction.pipeline import create_pipeline

__all__ = ["create_pipeline"]
