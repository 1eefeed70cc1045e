"""A MOS corpus and its clips in, the FR corpus out."""

from k150k_pipeline.pipelines.fr_from_nr.pipeline import create_pipeline

__all__ = ["create_pipeline"]
