"""What kedro-viz draws: one node for the shards of a step, and journals that pass through it."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from k150k_pipeline.pipeline_registry import register_pipelines
from k150k_pipeline.pipeline_shape import current_shape, shape_from
from tests.conftest import CHECKOUT

SHAPE = shape_from({"extract": {"shards": 5}, "ingest": {"shards": 3}, "fr_from_nr": {"shards": 4}})


@pytest.fixture
def pictures(monkeypatch):
    monkeypatch.setattr("k150k_pipeline.pipeline_shape._current", replace(SHAPE, drawn=True))
    return register_pipelines()


@pytest.fixture
def runs(monkeypatch):
    monkeypatch.setattr("k150k_pipeline.pipeline_shape._current", SHAPE)
    return register_pipelines()


@pytest.mark.parametrize(
    ("pipeline", "box"),
    [
        ("extract", "score_in_5_shards"),
        ("ingest", "probe_in_3_shards"),
        ("fr_from_nr", "sweep_in_4_shards"),
        ("mos_head", "cross_validate_in_20_shards"),
        ("protocol", f"evaluate_splits_in_{SHAPE.protocol_shards}_shards"),
    ],
)
def test_the_shards_of_a_step_are_one_node_with_their_count(pictures, pipeline, box):
    names = [node._name for node in pictures[pipeline].nodes]
    assert names.count(box) == 1
    assert not [name for name in names if "shard_" in name or name == "add_up"]
    assert "." not in next(n.namespace for n in pictures[pipeline].nodes if n._name == box)


def test_the_rest_is_what_runs(pictures, runs):
    assert pictures.keys() == runs.keys()
    for name, picture in pictures.items():
        kept = {n.name for n in runs[name].nodes if "shard_" not in n.name}
        assert kept - {
            "extract.score.add_up",
            "ingest.probe.add_up",
            "fr_from_nr.sweep.add_up",
        } <= {node.name for node in picture.nodes}
        assert {o for o in picture.outputs() if "." not in o} - runs[name].inputs() == (
            runs[name].outputs()
        ) or name == "protocol"


@pytest.mark.parametrize("pipeline", ["extract", "ingest", "fr_from_nr", "mos_head", "protocol"])
def test_the_command_of_the_box_names_nodes_that_run(pictures, runs, pipeline):
    (box,) = [node for node in pictures[pipeline].nodes if "_shards" in node._name]
    named = runs[pipeline].filter(to_nodes=box.name.split(",")).nodes
    assert [node for node in named if "shard_" in node.name]


def test_a_journal_leads_from_the_shards_to_the_merge(pictures):
    picture = pictures["extract"]
    (writer,) = [node for node in picture.nodes if "k150ka_journal" in node.outputs]
    readers = {node._name for node in picture.nodes if "k150ka_journal" in node.inputs}
    assert writer._name == "score_in_5_shards" and readers == {"merge", "account", "judge"}


def test_kedro_viz_finds_the_code_of_a_node(pictures):
    for node in pictures["__default__"].nodes:
        path = Path(inspect.getfile(node.func))
        assert f"def {node.func.__name__}(" in path.read_text("utf-8")


def test_a_node_of_a_picture_cannot_run(pictures):
    with pytest.raises(NotImplementedError):
        pictures["extract"].nodes[0].func()


def test_a_run_has_its_shards_also_where_kedro_viz_is_imported(monkeypatch, runs):
    monkeypatch.setitem(sys.modules, "kedro_viz.integrations.kedro.data_loader", sys)
    monkeypatch.setattr("k150k_pipeline.pipeline_shape._current", SHAPE)
    assert "extract.score.shard_0004" in {n.name for n in register_pipelines()["extract"].nodes}


def test_kedro_viz_gets_the_picture_and_kedro_registry_the_run(monkeypatch):
    monkeypatch.setattr("k150k_pipeline.pipeline_shape._current", None)
    monkeypatch.chdir(CHECKOUT)
    assert not current_shape().drawn
    monkeypatch.setitem(sys.modules, "kedro_viz.integrations.kedro.data_loader", sys)
    assert current_shape().drawn
