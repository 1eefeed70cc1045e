from __future__ import annotations

import subprocess
import sys

import pytest

from k150k_pipeline import pipeline_registry, run_shape
from k150k_pipeline.run_shape import RunShape, shape_from

HEAD = {"mos_head", "predict", "protocol"}


@pytest.fixture
def shape(monkeypatch):
    def use(**fields) -> None:
        monkeypatch.setattr(run_shape, "_current", RunShape(**fields))

    return use


def data_inputs(pipeline) -> set[str]:
    return {name for name in pipeline.inputs() if not name.startswith("params:")}


def test_names(shape):
    shape(shards=3)
    names = {"__default__", "extract", "fr_from_nr", "ingest", "sample", "enrich", *HEAD}
    assert set(pipeline_registry.register_pipelines()) == names


def test_extract_reads_scores_and_clips_and_makes_features_and_report(shape):
    shape(shards=3)
    extract = pipeline_registry.register_pipelines()["extract"]
    assert data_inputs(extract) == {"k150ka_scores", "k150ka_clips", "k150ka_journal"}
    assert extract.outputs() == {"k150ka_features", "k150ka_failures", "k150ka_report"}
    assert sum("shard_" in node.name for node in extract.nodes) == 3
    assert {node.namespace for node in extract.nodes} == {"extract", "extract.score"}


def test_ingest_reads_a_drop_and_makes_a_corpus(shape):
    shape(ingest_shards=2, ingest_corpus="konvid_1k")
    ingest = pipeline_registry.register_pipelines()["ingest"]
    assert data_inputs(ingest) == {"konvid_1k_drop", "konvid_1k_ingest_journal"}
    assert ingest.outputs() == {
        "konvid_1k_corpus",
        "konvid_1k_corpus_manifest",
        "konvid_1k_ingest_failures",
        "konvid_1k_ingest_report",
    }
    assert sum("shard_" in node.name for node in ingest.nodes) == 2


def test_fr_from_nr_reads_a_corpus_and_makes_another(shape):
    shape(fr_shards=2)
    fr = pipeline_registry.register_pipelines()["fr_from_nr"]
    assert data_inputs(fr) == {"konvid_150k_corpus", "konvid_150k_clips", "k150k_fr_journal"}
    outputs = {f"k150k_fr_{x}" for x in ("corpus", "manifest", "failures", "report")}
    assert fr.outputs() == outputs
    assert sum("shard_" in node.name for node in fr.nodes) == 2
    shape(fr_shards=1, fr_corpus="konvid_1k", fr_parquet=True)
    fr = pipeline_registry.register_pipelines()["fr_from_nr"]
    assert {"konvid_1k_fr_corpus", "konvid_1k_fr_table"} <= fr.outputs()
    assert "konvid_1k_corpus" in fr.inputs()


def test_default_is_ingest_then_extract_from_its_corpus(shape):
    shape(ingest_corpus="konvid_150k")
    default = pipeline_registry.register_pipelines()["__default__"]
    assert "konvid_150k_corpus" in default.datasets() - default.inputs()
    assert {"konvid_150k_features", "konvid_150k_corpus_manifest"} <= default.outputs()
    assert "konvid_150k_clips" in default.inputs()


@pytest.mark.parametrize(
    ("extract", "labels"),
    [
        ({}, "k150ka_scores"),
        ({"corpus": "k150kb"}, "k150kb_scores"),
        ({"labels": "corpus"}, "konvid_150k_corpus"),
        ({"corpus": "konvid_1k"}, "konvid_1k_corpus"),
        ({"corpus": "konvid-1k"}, "konvid_1k_corpus"),
    ],
)
def test_where_labels_come_from(extract, labels):
    assert shape_from({"extract": extract}).labels == labels


def test_environment_of_commands_without_a_run(monkeypatch):
    monkeypatch.setattr(run_shape, "_current", None)
    assert not run_shape.current_shape().sample
    monkeypatch.setenv("KEDRO_ENV", "sample")
    assert run_shape.current_shape().sample


def test_sample_environment_makes_its_clips_first(shape):
    shape(shards=1, sample=True)
    extract = pipeline_registry.register_pipelines()["extract"]
    assert data_inputs(extract) == {"k150ka_journal"}


@pytest.mark.parametrize(
    ("extract", "shards"),
    [
        ({"workers": 1}, 8),
        ({"workers": 4}, 32),
        ({"workers": 300}, 300),
        ({"workers": 64}, 256),
        ({"workers": 4, "shards": 7}, 7),
        ({"workers": 2, "shards": 0}, 16),
        ({"workers": 2, "shards": "many"}, 16),
    ],
)
def test_shard_count(extract, shards):
    assert shape_from({"extract": extract}).shards == shards


def test_default_uses_all_cores(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(6)))
    assert shape_from({}).workers == 6


def test_mos_head_reads_features_and_corpus_and_makes_a_model_set(shape):
    shape(shards=1)
    head = pipeline_registry.register_pipelines()["mos_head"]
    assert data_inputs(head) == {"mos_head_features", "konvid_150k_corpus"}
    assert {"mos_model_set", "mos_head_report"} <= head.outputs()


def test_sample_environment_makes_the_table_of_mos_head_on_the_way(shape):
    shape(shards=1, sample=True)
    head = pipeline_registry.register_pipelines()["mos_head"]
    journals = {"konvid_150k_journal", "konvid_150k_ingest_journal"}
    assert data_inputs(head) <= journals | {"konvid_150k_drop", "konvid_150k_clips"}


def test_protocol_deals_its_splits_to_the_workers(shape):
    shape(workers=3)
    protocol = pipeline_registry.register_pipelines()["protocol"]
    assert sum("shard_" in node.name for node in protocol.nodes) == 3


def test_commands_that_train_nothing_import_no_training_library():
    code = "import sys, k150k_pipeline.pipeline_registry; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "k150k_pipeline.pipelines.mos_head" in modules
    assert not {"sklearn", "matplotlib", "onnx", "onnxruntime"} & set(modules.split())
