from __future__ import annotations

import pytest

from k150k_pipeline import pipeline_registry, run_shape
from k150k_pipeline.run_shape import RunShape, shape_from


@pytest.fixture
def shape(monkeypatch):
    def use(**fields) -> None:
        monkeypatch.setattr(run_shape, "_current", RunShape(**fields))

    return use


def test_names(shape):
    shape(shards=3)
    assert set(pipeline_registry.register_pipelines()) == {"__default__", "extract", "sample"}


def test_extract_reads_scores_and_clips_and_makes_features_and_report(shape):
    shape(shards=3)
    extract = pipeline_registry.register_pipelines()["extract"]
    data = {name for name in extract.inputs() if not name.startswith("params:")}
    assert data == {"k150ka_scores", "k150ka_clips", "k150ka_journal"}
    assert extract.outputs() == {"k150ka_features", "k150ka_failures", "k150ka_report"}
    assert sum("shard_" in node.name for node in extract.nodes) == 3
    assert {node.namespace for node in extract.nodes} == {"extract", "extract.score"}


def test_environment_of_commands_without_a_run(monkeypatch):
    monkeypatch.setattr(run_shape, "_current", None)
    assert not run_shape.current_shape().sample
    monkeypatch.setenv("KEDRO_ENV", "sample")
    assert run_shape.current_shape().sample


def test_sample_environment_makes_its_clips_first(shape):
    shape(shards=1, sample=True)
    extract = pipeline_registry.register_pipelines()["extract"]
    assert {n for n in extract.inputs() if not n.startswith("params:")} == {"k150ka_journal"}


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
