"""The pipelines by name; the names are those of ``kedro run --pipelines=…``."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from k150k_pipeline.pipeline_shape import current_shape
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


def register_pipelines() -> dict[str, Pipeline]:
    """Return the registered pipelines.

    Where the environment asks for it (``--env=sample``) their clips are made first. The default
    is the whole way of a corpus: ``ingest``, then ``extract`` with the labels it made.
    """
    shape = current_shape()
    make_sample = sample.create_pipeline()
    first = make_sample if shape.sample.enabled else Pipeline([])
    shards = shape.extract.shards
    extract = feature_extraction.create_pipeline(shape.corpus, shape.labels, shards)
    corpus, labels = shape.ingest_corpus, f"{shape.ingest_corpus}_corpus"
    take_in = ingest.create_pipeline(corpus, shape.ingest.shards)
    whole = first + take_in + feature_extraction.create_pipeline(corpus, labels, shards)
    encode = shape.fr_from_nr
    fr = fr_from_nr.create_pipeline(
        encode.corpus, shape.fr_prefix, encode.shards, parquet=encode.parquet
    )
    features, enriched = f"{shape.table}_features", f"{shape.table}_enriched"
    head = mos_head.create_pipeline(features, labels)
    return {
        "__default__": whole,
        "ingest": first + take_in,
        "fr_from_nr": (first + take_in if shape.sample.enabled else first) + fr,
        "extract": first + extract,
        "sample": make_sample,
        "enrich": enrich.create_pipeline(features, enriched),
        "mos_head": whole + head if shape.sample.enabled else head,
        "predict": predict.create_pipeline(),
        "protocol": protocol.create_pipeline(features, shape.protocol_shards),
    }
