from __future__ import annotations

import subprocess
import sys

import pytest

from k150k_pipeline import pipeline_registry, pipeline_shape
from k150k_pipeline.pipeline_shape import shape_from
from k150k_pipeline.reports.extract import FIGURES as EXTRACT_FIGURES
from k150k_pipeline.reports.fr_from_nr import FIGURES as FR_FIGURES
from k150k_pipeline.reports.ingest import FIGURES as INGEST_FIGURES
from k150k_pipeline.schemas.fr_parameters import FrParameters
from k150k_pipeline.schemas.ingest import IngestParameters
from k150k_pipeline.schemas.parameters import ExtractParameters

HEAD = {"mos_head", "predict", "protocol"}


@pytest.fixture
def register(monkeypatch):
    """Return a function that registers the pipelines of a run with these parameters."""

    def use(**parameters):
        monkeypatch.setattr(pipeline_shape, "_current", shape_from(parameters))
        return pipeline_registry.register_pipelines()

    return use


def data_inputs(pipeline) -> set[str]:
    return {name for name in pipeline.inputs() if not name.startswith("params:")}


def shards_of(pipeline) -> int:
    return sum("shard_" in node.name for node in pipeline.nodes)


def test_names(register):
    names = {"__default__", "extract", "fr_from_nr", "ingest", "sample", "enrich", *HEAD}
    assert set(register()) == names


def test_extract_reads_scores_and_clips_and_makes_features_card_and_report(register):
    extract = register(extract={"shards": 3})["extract"]
    assert data_inputs(extract) == {"k150ka_scores", "k150ka_clips", "k150ka_journal"}
    outputs = {f"k150ka_{x}" for x in ("features", "failures", "report", "data_card")}
    outputs |= {"k150ka_page", *(f"k150ka_figure_of_{figure}" for figure in EXTRACT_FIGURES)}
    assert extract.outputs() == outputs
    assert shards_of(extract) == 3
    assert {node.namespace for node in extract.nodes} == {"extract", "extract.score"}


def test_ingest_reads_a_drop_and_makes_a_corpus(register):
    ingest = register(ingest={"shards": 2, "corpus": "konvid-1k"})["ingest"]
    assert data_inputs(ingest) == {"konvid_1k_drop", "konvid_1k_ingest_journal"}
    assert ingest.outputs() == {
        "konvid_1k_corpus",
        "konvid_1k_corpus_manifest",
        "konvid_1k_ingest_failures",
        "konvid_1k_ingest_report",
        "konvid_1k_ingest_page",
        *(f"konvid_1k_ingest_figure_of_{figure}" for figure in INGEST_FIGURES),
    }
    assert shards_of(ingest) == 2


def test_fr_from_nr_reads_a_corpus_and_makes_another(register):
    fr = register(fr_from_nr={"shards": 2})["fr_from_nr"]
    assert data_inputs(fr) == {"konvid_150k_corpus", "konvid_150k_clips", "k150k_fr_journal"}
    outputs = {f"k150k_fr_{x}" for x in ("corpus", "manifest", "failures", "report", "page")}
    outputs |= {f"k150k_fr_figure_of_{name}" for name in FR_FIGURES}
    assert fr.outputs() == outputs
    assert shards_of(fr) == 2
    fr = register(fr_from_nr={"corpus": "konvid-1k", "parquet": True})["fr_from_nr"]
    assert {"konvid_1k_fr_corpus", "konvid_1k_fr_table"} <= fr.outputs()
    assert "konvid_1k_corpus" in fr.inputs()


def test_default_is_ingest_then_extract_from_its_corpus(register):
    default = register(extract={"corpus": "k150kb"})["__default__"]
    assert "konvid_150k_corpus" in default.datasets() - default.inputs()
    assert {"konvid_150k_features", "konvid_150k_corpus_manifest"} <= default.outputs()
    assert "konvid_150k_clips" in default.inputs()


@pytest.mark.parametrize(
    ("extract", "labels"),
    [
        ({}, "k150ka_scores"),
        ({"corpus": "k150kb"}, "k150kb_scores"),
        ({"labels": "corpus"}, "konvid_150k_corpus"),
        ({"corpus": "k150kb", "labels": "corpus"}, "konvid_150k_corpus"),
        ({"corpus": "konvid_1k"}, "konvid_1k_corpus"),
        ({"corpus": "konvid-1k"}, "konvid_1k_corpus"),
    ],
)
def test_where_labels_come_from(extract, labels):
    assert shape_from({"extract": extract}).labels == labels


def test_environment_of_commands_without_a_run(monkeypatch):
    monkeypatch.setattr(pipeline_shape, "_current", None)
    assert not pipeline_shape.current_shape().sample.enabled
    monkeypatch.setenv("KEDRO_ENV", "sample")
    assert pipeline_shape.current_shape().sample.enabled


def test_sample_environment_makes_its_clips_first(register):
    extract = register(sample={"enabled": True})["extract"]
    assert data_inputs(extract) == {"k150ka_journal"}


@pytest.mark.parametrize("shards", [0, 5000, "many", None])
def test_block_that_validation_will_refuse_has_the_shape_of_an_absent_one(shards):
    refused = {"extract": {"shards": shards, "corpus": "k150kb"}}
    assert shape_from(refused) == shape_from({})


def test_graph_is_the_same_on_every_machine(register, monkeypatch):
    graphs = []
    for cores in (1, 2, 96):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        graphs.append({name: p.describe() for name, p in register().items()})
    assert graphs[0] == graphs[1] == graphs[2]


def test_shards_are_those_of_the_parameters_and_of_nothing_else(register):
    blocks = {"extract": ExtractParameters, "ingest": IngestParameters, "fr_from_nr": FrParameters}
    for name, model in blocks.items():
        assert shards_of(register()[name]) == model().shards
        assert shards_of(register(**{name: {"shards": 9, "workers": 300}})[name]) == 9


@pytest.mark.parametrize(
    ("protocol", "shards"),
    [
        ({}, 32),
        ({"splits": 3}, 3),
        ({"seeds": [4, 5]}, 2),
        ({"splits": 1000}, 32),
        ({"splits": 3, "tables": ["a.csv", "b.csv"]}, 6),
    ],
)
def test_protocol_has_no_shard_without_a_split(register, protocol, shards):
    assert shards_of(register(protocol=protocol)["protocol"]) == shards


def test_tables_of_the_protocol_take_the_place_of_the_features(register):
    protocol = register(protocol={"tables": ["a.csv"]}, features="/a.parquet")["protocol"]
    assert data_inputs(protocol) == {"protocol_finished"}
    assert protocol.outputs() == {"protocol_splits", "protocol_summary"}


def test_mos_head_reads_features_and_corpus_and_makes_a_model_set(register):
    head = register()["mos_head"]
    wanted = {"konvid_150k_features", "konvid_150k_corpus", "mos_head_finished"}
    assert data_inputs(head) == wanted
    assert {"mos_model_set", "mos_head_report"} <= head.outputs()


@pytest.mark.parametrize("corpus", ["konvid_150k", "konvid_1k"])
def test_what_comes_after_kedro_run_reads_what_it_makes(register, corpus):
    pipelines = register(ingest={"corpus": corpus.replace("_", "-")})
    made = pipelines["__default__"].all_outputs()
    head = data_inputs(pipelines["mos_head"]) - {"mos_head_finished"}
    assert head == {f"{corpus}_features", f"{corpus}_corpus"} and head <= made
    assert data_inputs(pipelines["enrich"]) == {f"{corpus}_features"}
    assert data_inputs(pipelines["protocol"]) == {f"{corpus}_features", "protocol_finished"}


@pytest.mark.parametrize(
    ("parameters", "table"),
    [
        ({}, "konvid_150k"),
        ({"ingest": {"corpus": "konvid-1k"}}, "konvid_1k"),
        ({"ingest": {"corpus": "konvid-1k"}, "features": "/a.parquet"}, "given"),
        ({"extract": {"corpus": "k150kb"}, "features": ""}, "konvid_150k"),
    ],
)
def test_which_table_comes_next(parameters, table):
    assert shape_from(parameters).table == table


def test_a_given_table_is_read_and_never_written_by_extract(register):
    pipelines = register(features="/a.parquet")
    wanted = {"given_features", "konvid_150k_corpus", "mos_head_finished"}
    assert data_inputs(pipelines["mos_head"]) == wanted
    assert pipelines["enrich"].outputs() == {"given_enriched", "enrich_summary"}
    for name in ("__default__", "extract"):
        assert not {"given_features", "given_enriched"} & pipelines[name].datasets()


def test_sample_environment_makes_the_table_of_mos_head_on_the_way(register):
    head = register(sample={"enabled": True})["mos_head"]
    journals = {"konvid_150k_journal", "konvid_150k_ingest_journal"}
    others = {"konvid_150k_drop", "konvid_150k_clips", "mos_head_finished"}
    assert data_inputs(head) <= journals | others


def test_commands_that_train_nothing_import_no_training_library():
    code = "import sys, k150k_pipeline.pipeline_registry; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "k150k_pipeline.pipelines.mos_head" in modules
    assert not {"sklearn", "matplotlib", "onnx", "onnxruntime", "plotly"} & set(modules.split())
