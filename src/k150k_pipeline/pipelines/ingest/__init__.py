"""A KonViD drop in, a MOS-corpus JSONL out."""

from k150k_pipeline.pipelines.ingest.pipeline import create_pipeline

__all__ = ["create_pipeline"]
