"""The notebooks: without output in git, and with the catalog and one sentence where data lack.

``make notebooks`` runs them.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys

import pytest

from k150k_pipeline.notebook import NotMadeError, existing, open_catalog
from tests.conftest import CHECKOUT

NOTEBOOKS = sorted((CHECKOUT / "notebooks").glob("*.ipynb"))


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore after a test what a session and its catalog leave in this process."""
    monkeypatch.setattr("k150k_pipeline.pipeline_shape._current", None)
    monkeypatch.setenv("KEDRO_LOGGING_CONFIG", str(CHECKOUT / "conf/logging.yml"))


def test_notebooks_name_only_others_that_are_there():
    named = set(re.findall(r"(\w+)\.ipynb", "".join(p.read_text("utf-8") for p in NOTEBOOKS)))
    assert named and named <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_in_git(path):
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None
        assert cell["metadata"] == {}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_names_the_command_that_makes_its_data(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    first, second = ("".join(cell["source"]) for cell in cells[:2])
    (command,) = set(re.findall(r'"(make sample|kedro run [^"]+)"', second))
    assert f"`{command}` makes the data" in " ".join(first.split())


@pytest.mark.parametrize("package", ["jupyterlab", "notebook"])
def test_kedro_jupyter_has_what_it_starts(package):
    lock = (CHECKOUT / "requirements.lock").read_text("utf-8")
    assert re.search(rf"^{package}==\d", lock, re.MULTILINE)


def test_the_catalog_of_a_notebook_is_the_one_of_its_environment(monkeypatch):
    monkeypatch.chdir(CHECKOUT / "notebooks")
    path = open_catalog("sample").get("k150ka_features").path
    assert path == CHECKOUT / "data/sample/04_feature/full_features_k150k.parquet"
    assert logging.getLogger("kedro").level == logging.WARNING


def test_opening_the_catalog_prints_nothing():
    environment = {k: v for k, v in os.environ.items() if k != "KEDRO_LOGGING_CONFIG"}
    code = "from k150k_pipeline.notebook import open_catalog; open_catalog('sample')"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT / "notebooks",
        capture_output=True,
        text=True,
        env=environment,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_outside_a_project_one_sentence_says_so(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotMadeError, match="is in no Kedro project"):
        open_catalog()


def test_the_first_dataset_that_exists_is_taken(monkeypatch):
    monkeypatch.chdir(CHECKOUT / "notebooks")
    catalog = open_catalog("sample")
    assert existing(catalog, "k150kb_features", "konvid_150k_ingest_journal", made_by="x") == (
        "konvid_150k_ingest_journal"
    )
    with pytest.raises(NotMadeError) as caught:
        existing(catalog, "k150kb_features", made_by="kedro run")
    lines = caught.value._render_traceback_()
    assert lines == ["k150kb_features does not exist yet: run `kedro run` in the project's folder"]
