"""The files that the hosting site and contributors read, beside the code."""

from __future__ import annotations

import re
import runpy
import subprocess
import tomllib

import pandas as pd
import pytest
import yaml

from k150k_pipeline.pipelines.sample.nodes import RECIPES, clip_name
from tests.conftest import CHECKOUT

PACKAGE = CHECKOUT / "src/k150k_pipeline"
CONTRIBUTING = (CHECKOUT / "CONTRIBUTING.md").read_text("utf-8")
MAKEFILE = (CHECKOUT / "Makefile").read_text("utf-8")
HOOKS = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]
DRAWING = runpy.run_path(str(CHECKOUT / "scripts/draw_sample.py"))
FORMS = sorted((CHECKOUT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w/.-]+/[\w.-]*)`", CONTRIBUTING))))
def test_every_path_of_contributing_exists(path):
    made = path.startswith(("build/", "data/sample", ".venv"))
    assert made or (CHECKOUT / path).exists() or (PACKAGE / path).exists()


@pytest.mark.parametrize(("name", "path"), re.findall(r"`(\w+)` of `([\w/]+\.py)`", CONTRIBUTING))
def test_every_name_of_contributing_is_in_its_file(name, path):
    defined = rf"^ *(?:def|class) {name}\b|^ *{name}\b[^=\n]*[=:]"
    assert re.search(defined, (PACKAGE / path).read_text("utf-8"), re.MULTILINE)


def test_every_target_of_contributing_exists():
    named = set(re.findall(r"(?:^|`)make ([a-z]+)\b", CONTRIBUTING, re.MULTILINE))
    assert {"install", "test", "lint", "sample", "docs"} <= named
    assert named <= set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))


def test_hooks_run_the_commands_of_make_lint():
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe
    linted = {line.split()[0].rpartition("/")[2] for line in recipe[1].splitlines()}
    hooks = {hook["entry"].split()[0] for hook in HOOKS["hooks"] if hook["language"] == "system"}
    assert {hook.removeprefix(".venv/bin/") for hook in hooks} == linted


def test_the_hook_against_clips_finds_them_and_nothing_that_is_here():
    (pattern,) = [hook["files"] for hook in HOOKS["hooks"] if hook["language"] == "fail"]
    assert re.search(pattern, "data/01_raw/orig_1_540_5s.mp4")
    assert re.search(pattern, "full_features_k150k.parquet")
    listed = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert not [path for path in listed.stdout.splitlines() if re.search(pattern, path)]


def test_the_citation_has_this_package_and_the_paper():
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    (paper,) = citation["references"]
    assert paper["doi"] == "10.1109/ACCESS.2021.3077642" and len(paper["authors"]) == 4
    assert paper["end"] - paper["start"] == 21
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    assert citation["license"] == project["license"] and citation["title"] == project["name"]


@pytest.mark.parametrize("path", [p for p in FORMS if p.stem != "config"], ids=lambda p: p.stem)
def test_an_issue_form_is_complete(path):
    form = yaml.safe_load(path.read_text("utf-8"))
    assert form["name"] and form["description"]
    names = [field["id"] for field in form["body"]]
    assert len(names) == len(set(names)) >= 3
    for field in form["body"]:
        assert field["type"] in {"input", "textarea", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
        assert field["type"] not in {"dropdown", "checkboxes"} or field["attributes"]["options"]


def test_the_readme_is_short_and_shows_the_picture():
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) <= 120
    assert "](docs/pictures/sample.svg)" in readme


def test_the_picture_has_a_row_for_each_clip_of_the_sample_and_a_title_for_each_column():
    picture = (CHECKOUT / "docs/pictures/sample.svg").read_text("utf-8")
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", picture)
    contents = [recipe.content for recipe in RECIPES]
    assert [text for text in texts if text in contents] == contents
    assert set(DRAWING["COLUMNS"].values()) <= set(texts)
    assert texts.count("no row") == len(DRAWING["COLUMNS"]) * sum(r.cut for r in RECIPES)


def test_the_same_features_give_the_same_picture(tmp_path):
    names = [clip_name(number) for number, recipe in enumerate(RECIPES, 1) if not recipe.cut]
    features = pd.DataFrame({"clip_name": names})
    for column in DRAWING["COLUMNS"]:
        features[column] = [97.0 + index / 10 for index in range(len(names))]
    for name in ("a/1.svg", "a/2.svg"):
        DRAWING["save"](DRAWING["draw"](features), tmp_path / name)
    first, second = (tmp_path / name for name in ("a/1.svg", "a/2.svg"))
    assert first.read_bytes() == second.read_bytes()
    assert b">98.1<" in first.read_bytes() and str(tmp_path).encode() not in first.read_bytes()
