"""A clip or a features parquet in, MOS out, by the exported model."""

from k150k_pipeline.pipelines.predict.pipeline import create_pipeline

__all__ = ["create_pipeline"]
