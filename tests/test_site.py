"""The site that ``make site`` makes: all documents and modules are in it, and faults are found.

Zensical itself is not in the environment of the tests.
"""

from __future__ import annotations

import json
import runpy
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.support.links import links

SITE = runpy.run_path(str(CHECKOUT / "scripts/build_site.py"))


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    SITE["stage"](folder / "source", folder / "python", notebooks(folder / "notebooks"))
    return folder


def notebooks(folder: Path) -> Path:
    """Return a folder with a notebook that has output of each kind, and plotly's script."""
    data = [
        {
            "data": {
                "application/vnd.plotly.v1+json": {"data": [], "layout": {"title": "</script>"}}
            }
        },
        {"data": {"text/html": ["<style>td {}</style>\n", "<table>\n  <td>7</td>\n</table>"]}},
        {"name": "stdout", "text": ["12 clips\n"]},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# A notebook\n", "\n", "Text."]},
        {"cell_type": "code", "source": ["draw()"], "outputs": data},
    ]
    folder.mkdir()
    (folder / "shown.ipynb").write_text(json.dumps({"cells": cells}), "utf-8")
    (folder / "plotly.min.js").write_text("// plotly", "utf-8")
    return folder


def test_a_notebook_is_a_page_with_its_output(staged):
    page = (staged / "source/notebooks/shown.md").read_text("utf-8")
    assert page.startswith("# A notebook\n") and "```python\ndraw()\n```" in page
    assert "<table><td>7</td></table>" in page and "<style>" not in page
    assert "```text\n12 clips\n```" in page
    drawn = (staged / "source/notebooks/shown-1-0.js").read_text("utf-8")
    assert drawn.startswith('drawFigure("shown-1-0", {"data": []')
    assert '<script src="shown-1-0.js"></script>' in page and '<div id="shown-1-0">' in page
    assert {"plotly.min.js", "plots.js"} <= {
        p.name for p in (staged / "source/notebooks").iterdir()
    }


def test_without_output_the_site_has_no_notebooks(tmp_path):
    SITE["stage"](tmp_path / "source", tmp_path / "python", tmp_path / "nothing")
    assert not (tmp_path / "source/notebooks").exists()


def test_no_page_has_a_fence_that_a_script_from_elsewhere_would_draw(staged):
    for path in (staged / "source").rglob("*.md"):
        assert "```mermaid" not in path.read_text("utf-8"), path


def paths(entries: object) -> Iterator[str]:
    """Yield the pages of a navigation, as it is or as it is read back from TOML."""
    if isinstance(entries, str):
        yield entries
    else:
        inner = entries.values() if isinstance(entries, Mapping) else entries
        for entry in inner:
            yield from paths(entry)


def test_every_document_is_in_the_navigation_once(staged):
    source = staged / "source"
    found = sorted(paths(SITE["navigation"](source)))
    assert found == sorted(str(path.relative_to(source)) for path in source.rglob("*.md"))
    documents = {str(p.relative_to(CHECKOUT)) for p in (CHECKOUT / "docs").rglob("*.md")}
    assert documents | {"README.md", "CONTRIBUTING.md", "core/README.md"} <= set(found)


def test_every_file_that_a_document_links_to_is_in_the_site(staged):
    for page in sorted((staged / "source").rglob("*.md")):
        for file, _ in links(page.read_text("utf-8")):
            assert (page.parent / file).exists(), f"{page.name}: {file}"


def test_every_public_module_has_a_page(staged):
    pages = {path.stem for path in (staged / "source/reference").iterdir()}
    assert {"k150k_pipeline", "k150k_pipeline.vmaf", "k150k_pipeline.vmaf.plans"} <= pages
    files = (CHECKOUT / "src/k150k_pipeline").glob("**/*.py")
    assert len(pages) == len([path for path in files if path.name != "__main__.py"])


def test_the_settings_are_toml_with_the_whole_navigation(staged):
    navigation = SITE["navigation"](staged / "source")
    settings = tomllib.loads(SITE["settings"](navigation))
    assert sorted(paths(settings["project"]["nav"])) == sorted(paths(navigation))
    assert settings["project"]["plugins"]["mkdocstrings"]["handlers"]["python"]["options"]


def test_roles_of_docstrings_become_code(staged):
    text = "".join(path.read_text("utf-8") for path in (staged / "python").rglob("*.py"))
    assert ":func:`" not in text and ":class:`" not in text and "``merge_extraction``" in text


def test_staging_again_leaves_nothing_old(staged):
    stray = staged / "source/reference/gone.md"
    stray.write_text("# gone\n")
    SITE["stage"](staged / "source", staged / "python", staged / "notebooks")
    assert not stray.exists()


def test_search_has_index_and_worker_in_one_file(tmp_path):
    workers = tmp_path / "assets/javascripts/workers"
    workers.mkdir(parents=True)
    (workers / "search.1a2b.min.js").write_text('postMessage("é");\n', "utf-8")
    (tmp_path / "search.json").write_text('{"items": []}')
    SITE["let_search_work_on_a_disk"](tmp_path)
    index, worker = (tmp_path / "search.js").read_text("utf-8").splitlines()
    assert index == 'var __index = {"items": []};'
    assert r'new Blob(["postMessage(\"\u00e9\");\n"])' in worker


@pytest.mark.parametrize(
    ("element", "fault"),
    [
        ('<a href="b.html">', None),
        ('<a href="b.html#there">', None),
        ('<a href="b.html#gone">', "leads to b.html#gone"),
        ('<a href="c.html">', "leads to c.html"),
        ('<a href="#here"><p id="here">', None),
        ('<a href="#nowhere">', "leads to #nowhere"),
        ('<a href="folder/">', None),
        ('<a href="../outside.py">', "leads to ../outside.py"),
        ('<a href="mailto:a@example.org">', None),
        ('<a href="https://example.org/gone">', None),
        ('<img src="a%20b.png">', None),
        ('<img src="gone.png">', "leads to gone.png"),
        ('<img src="https://example.org/a.png">', "loads https://example.org/a.png"),
        ('<script src="//example.org/a.js">', "loads //example.org/a.js"),
        ('<link rel="stylesheet" href="http://example.org/a.css">', "loads http://example.org"),
        ('<link rel="canonical" href="https://example.org/">', None),
    ],
)
def test_faults_of_a_page_are_found(tmp_path, element, fault):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/index.html").write_text("<p>")
    (tmp_path / "a b.png").write_bytes(b"")
    (tmp_path / "b.html").write_text('<h1 id="there">b</h1>')
    (tmp_path / "a.html").write_text(f"<html>{element}</html>")
    found = list(SITE["faults"](tmp_path))
    assert len(found) == (fault is not None)
    assert not fault or (found[0].startswith("a.html ") and fault in found[0])
