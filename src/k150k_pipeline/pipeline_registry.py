"""The pipelines by name; the names are those of ``kedro run --pipelines=…``."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from k150k_pipeline.lineage import drawn
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
    """Return the registered pipelines by name.

    With ``sample.enabled``, as in ``--env=sample``, their clips are made first. The default is
    ``ingest``, then ``extract`` with the labels that it made. For kedro-viz the shards of a
    step are one node.
    """
    shape = current_shape()
    make_sample = sample.create_pipeline()
    first = make_sample if shape.sample.enabled else Pipeline([])
    shards, extra = shape.extract.shards, bool(shape.extract.extra_columns)
    extract = feature_extraction.create_pipeline(shape.corpus, shape.labels, shards, extra=extra)
    corpus, labels = shape.ingest_corpus, f"{shape.ingest_corpus}_corpus"
    ingestion = first + ingest.create_pipeline(corpus, shape.ingest.shards)
    whole = ingestion + feature_extraction.create_pipeline(corpus, labels, shards, extra=extra)
    fr_block = shape.fr_from_nr
    fr = fr_from_nr.create_pipeline(
        fr_block.corpus, shape.fr_prefix, fr_block.shards, parquet=fr_block.parquet
    )
    features, enriched = f"{shape.table}_features", f"{shape.table}_enriched"
    head = mos_head.create_pipeline(features, labels)
    found = {
        "__default__": whole,
        "ingest": ingestion,
        "fr_from_nr": ingestion + fr if shape.sample.enabled else fr,
        "extract": first + extract,
        "sample": make_sample,
        "enrich": enrich.create_pipeline(features, enriched),
        "mos_head": whole + head if shape.sample.enabled else head,
        "predict": predict.create_pipeline(),
        "protocol": protocol.create_pipeline(
            None if shape.protocol.tables else features, shape.protocol_shards
        ),
    }
    return drawn(found) if shape.drawn else found
