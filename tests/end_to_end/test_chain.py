"""The README's commands in the order in which it prints them, on a small drop of K150K-A."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import CHECKOUT, Project, copy_project

pytestmark = pytest.mark.xdist_group("chain")  # the way is gone once

SMALL = """
ingest: {min_rows: 1}
extract: {verify_clips: 0}
mos_head:
  models: [ridge, trees]
  seeds: [0, 1]
  bootstrap_draws: 20
  importance_rows: 8
  importance_repeats: 1
  splits: {held_out: 0.3, folds: 3}
  trees: {iterations: 5, min_leaf: 1}
"""
TABLE = "data/04_feature/full_features_k150k.parquet"


def printed(heading: str) -> list[list[str]]:
    """Return the arguments of each ``kedro`` command of a section of the README."""
    text = (CHECKOUT / "README.md").read_text("utf-8")
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    commands = re.findall(r"^\.venv/bin/kedro (.*)$", section, flags=re.MULTILINE)
    return [shlex.split(command, comments=True) for command in commands]


def drop(root: Path, clips: Path) -> Project:
    """Return a project with clips, scores and votes, and parameters for so few of them."""
    project = Project(copy_project(root))
    names = project.add_clips(clips)
    votes = {name: [1 + (i + k * k) % 5 for k in range(5)] for i, name in enumerate(names)}
    project.write_scores({name: sum(given) / 5 for name, given in votes.items()})
    lines = [f"{name},{vote}\n" for name, given in votes.items() for vote in given]
    (project.drop / "k150ka_votes.csv").write_text("video_name,video_score\n" + "".join(lines))
    (root / "conf/local/parameters.yml").write_text(SMALL)
    return project


def follow(project: Project, command: list[str], ok: bool = True) -> str:
    """Run a command as the README prints it, on the first clip of the drop, in one process."""
    clip = str(sorted(project.clips.iterdir())[0])
    arguments = [argument.replace("/your/clip.mp4", clip) for argument in command]
    return project.kedro(*arguments, ok=ok)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory, tiny_clips: Path) -> Project:
    project = drop(tmp_path_factory.mktemp("chain"), tiny_clips)
    for command in printed("From a drop to a corpus to a model"):
        follow(project, command)
    return project


def test_the_readme_prints_the_whole_way():
    commands = [" ".join(command) for command in printed("From a drop to a corpus to a model")]
    assert commands == [
        "run --pipelines=ingest",
        "run",
        "run --pipelines=mos_head",
        "run --pipelines=predict --params predict.source=/your/clip.mp4",
        "run --pipelines=fr_from_nr",
    ]


def test_every_clip_gets_through_all_pipelines(followed):
    root = followed.root
    features = pd.read_parquet(root / "data/04_feature/full_features_konvid_150k.parquet")
    assert len(features) == 8 and not (root / TABLE).exists()
    report = json.loads((root / "data/08_reporting/mos_head_report.json").read_text())
    assert sum(report["data"]["parts"].values()) == 8
    assert (root / "data/06_models/mos_head/current/mos_head.onnx").exists()
    predicted = pd.read_csv(root / "data/07_model_output/predicted_mos.csv")
    assert predicted["clip_name"].tolist() == [features["clip_name"].min()]
    assert 1 <= predicted["predicted_mos"][0] <= 5
    fr = (root / "data/05_model_input/k150k_fr_corpus.jsonl").read_text().splitlines()
    assert len(fr) == 8 * 5


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("extract-status", "data/04_feature/full_features_konvid_150k.parquet"),
        ("ingest-status", "data/02_intermediate/konvid_150k.jsonl"),
        ("fr-status", "data/05_model_input/k150k_fr_corpus.jsonl"),
    ],
)
def test_status_finds_the_run_without_its_corpus_on_the_command_line(followed, command, output):
    reported = followed.kedro(command)
    assert f"{followed.root / output} (not running)" in reported
    assert "wanted 8, done 8, failed attempts 0, due 0" in reported


def test_after_a_scores_csv_the_message_says_how_to_go_on(tmp_path, tiny_clips):
    project = drop(tmp_path, tiny_clips)
    _smoke, whole = printed("Your own K150K drop")
    follow(project, whole)
    follow(project, ["run", "--pipelines=ingest"])
    refused = follow(project, ["run", "--pipelines=mos_head"], ok=False)
    way = f"--params features={TABLE}"
    assert f"`{way}`" in refused and "full_features_konvid_150k.parquet does not exist" in refused
    assert "`kedro run --pipelines=extract --params extract.corpus=konvid_150k`" in refused
    assert "Traceback" not in refused and sum(map(bool, refused.splitlines())) <= 2
    follow(project, ["run", "--pipelines=mos_head", *shlex.split(way)])
    assert (tmp_path / "data/06_models/mos_head/current/mos_head.onnx").exists()
    before = (tmp_path / TABLE).read_bytes()
    follow(project, ["run", "--pipelines=extract", "--params=extract.corpus=konvid_150k"])
    made = tmp_path / "data/04_feature/full_features_konvid_150k.parquet"
    assert pd.read_parquet(made).equals(pd.read_parquet(tmp_path / TABLE))
    assert (tmp_path / TABLE).read_bytes() == before


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        ("data/02_intermediate/konvid_150k.jsonl", "corpus.schema.json"),
        ("data/05_model_input/k150k_fr_corpus.jsonl", "fr_corpus.schema.json"),
    ],
)
def test_each_line_is_what_its_json_schema_describes(followed, file, schema):
    from jsonschema import validate  # it takes two seconds

    described = json.loads((CHECKOUT / "docs/schemas" / schema).read_text("utf-8"))
    lines = (followed.root / file).read_text("utf-8").splitlines()
    assert len(lines) >= 8
    for line in map(json.loads, lines):
        validate(line, described)
        assert list(line) == list(described["properties"])
