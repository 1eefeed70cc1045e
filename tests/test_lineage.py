"""What kedro-viz draws: one node for the shards of a step, and journals that pass through it."""

from __future__ import annotations

import inspect
import json
import runpy
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
        made = {o for o in runs[name].outputs() if "_figure_of_" not in o}
        assert {o for o in picture.outputs() if "." not in o} - runs[name].inputs() == (
            made
        ) or name == "protocol"


@pytest.mark.parametrize("pipeline", ["extract", "ingest", "fr_from_nr", "mos_head"])
def test_figures_are_in_the_box_of_their_pipeline_and_lead_to_its_page(pictures, runs, pipeline):
    figures = {name for name in runs[pipeline].outputs() if "_figure_of_" in name}
    pages = [node for node in pictures[pipeline].nodes if node._name == "page"]
    assert figures and figures == {name for node in pages for name in node.inputs}
    for node in pages:
        assert node.outputs[0].endswith("_page")
        inside = pictures[pipeline].only_nodes_with_namespaces([node.namespace])
        assert not figures & inside.outputs() and figures & inside.all_outputs()
        assert runs[pipeline].filter(to_nodes=node.name.split(",")).nodes


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


def test_finished_pages_ask_nobody_else_and_hide_no_corner(tmp_path):
    finish = runpy.run_path(str(CHECKOUT / "scripts/finish_lineage.py"))["finish"]
    with pytest.raises(SystemExit, match="run kedro viz build first"):
        finish(tmp_path)
    for folder in ("assets", "api"):
        (tmp_path / folder).mkdir()
    (tmp_path / "index.html").write_text(
        '<link rel="preconnect" href="https://fonts.gstatic.com" crossorigin />\n'
        '<link href="https://fonts.googleapis.com/css2?family=Titillium" rel="stylesheet" />\n'
        '<link rel="stylesheet" href="./assets/a.css">'
    )
    settings = 'a={showFeatureHints:{name:"n",default:!0},showOther:{default:!0}}'
    fit = (
        "const d={x:O.sidebarWidth,y:0},c=k({offset:d,focus:y,viewWidth:s,viewHeight:o,"
        "objectWidth:t,objectHeight:h,sidebarWidth:O.sidebarWidth,minScaleX:.05,"
        "minScaleFocus:this.props.seen?this.props.zoom.scale:.1,focusOffset:0})"
    )
    map_ = "b={visible:{graph:!0,miniMap:!0,c:!0}}"
    (tmp_path / "assets/a.js").write_text(f"{settings};{map_};{fit}")
    finish(tmp_path)
    page, script = (tmp_path / name for name in ("index.html", "assets/a.js"))
    assert "https:" not in page.read_text() and "./assets/a.css" in page.read_text()
    assert (
        'name:"n",default:!1}' in script.read_text() and "Other:{default:!0}" in script.read_text()
    )
    assert "graph:!0,miniMap:!1,c:!0" in script.read_text()
    assert "{x:O.sidebarWidth+140,y:0}" in script.read_text()
    assert "viewWidth:s-165,viewHeight:o" in script.read_text()
    assert "zoom.scale:.05,focusOffset:0" in script.read_text()
    assert json.loads((tmp_path / "api/metadata").read_text())["package_compatibilities"]
    before = script.read_text()
    finish(tmp_path)
    assert script.read_text() == before
