"""The pipelines by name; the names are those of ``kedro run --pipelines=…``."""

from __future__ import annotations

from dataclasses import replace

from kedro.pipeline import Pipeline

from k150k_pipeline.pipelines import (
    enrich,
    feature_extraction,
    fr_from_nr,
    ingest,
    mos_head,
    predict,
    protocol,
    sample,
)
from k150k_pipeline.run_shape import current_shape


def register_pipelines() -> dict[str, Pipeline]:
    """Return the registered pipelines.

    Where the environment asks for it (``--env=sample``) their clips are made first. The default
    is the whole way of a corpus: ``ingest``, then ``extract`` with the labels it made.
    """
    shape = current_shape()
    make_sample = sample.create_pipeline()
    first = make_sample if shape.sample else Pipeline([])
    taken_in = replace(shape, corpus=shape.ingest_corpus, labels=f"{shape.ingest_corpus}_corpus")
    take_in = ingest.create_pipeline(shape)
    whole = first + take_in + feature_extraction.create_pipeline(taken_in)
    # The sample's table is made on the way; a user's is chosen with --params features=….
    sample_head = whole + mos_head.create_pipeline(f"{taken_in.corpus}_features", taken_in.labels)
    return {
        "__default__": whole,
        "ingest": first + take_in,
        "fr_from_nr": (first + take_in if shape.sample else first)
        + fr_from_nr.create_pipeline(shape),
        "extract": first + feature_extraction.create_pipeline(shape),
        "sample": make_sample,
        "enrich": enrich.create_pipeline(),
        "mos_head": sample_head if shape.sample else mos_head.create_pipeline(),
        "predict": predict.create_pipeline(),
        "protocol": protocol.create_pipeline(shape.workers),
    }
