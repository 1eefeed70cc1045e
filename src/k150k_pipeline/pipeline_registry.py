"""The pipelines by name; the names are those of ``kedro run --pipelines=…``."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from k150k_pipeline.pipelines import feature_extraction, sample
from k150k_pipeline.run_shape import current_shape


def register_pipelines() -> dict[str, Pipeline]:
    """Return the registered pipelines.

    ``extract`` makes its clips first where the environment asks for it (``--env=sample``).
    """
    shape = current_shape()
    make_sample = sample.create_pipeline()
    extract = feature_extraction.create_pipeline(shape)
    if shape.sample:
        extract = make_sample + extract
    return {"__default__": extract, "extract": extract, "sample": make_sample}
