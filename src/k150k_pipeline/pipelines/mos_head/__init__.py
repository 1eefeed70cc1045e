"""Features and opinions in, a judged and exported MOS model out."""

from k150k_pipeline.pipelines.mos_head.pipeline import create_pipeline

__all__ = ["create_pipeline"]
