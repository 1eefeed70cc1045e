from __future__ import annotations

import io
import re
import runpy
from itertools import pairwise

import pytest
from rich.console import Console
from rich.live import Live

from tests.conftest import CHECKOUT
from tests.support.links import links

HOUSE_SCRIPT = runpy.run_path(str(CHECKOUT / "scripts/draw_house.py"))
TERMINAL_SCRIPT = runpy.run_path(str(CHECKOUT / "scripts/draw_terminal.py"))
ARCHITECTURE = (CHECKOUT / "docs/architecture.md").read_text("utf-8")
PACKAGE = CHECKOUT / "src/k150k_pipeline"
PATHS = re.findall(r"`((?:[\w-]+/)*[\w-]+\.(?:py|md|yml|jsonl))`", ARCHITECTURE)
NAMES = [
    (name, path)
    for names, path in re.findall(r"((?:`\w+` and )?`\w+`) in `([\w/]+\.py)`", ARCHITECTURE)
    for name in re.findall(r"\w+", names.replace("` and `", " "))
]
DECISIONS = sorted((CHECKOUT / "docs/decisions").glob("0*.md"))
DOCUMENTS = [
    path
    for pattern in ("*.md", "docs/**/*.md", "core/*.md", "scripts/*.md")
    for path in sorted(CHECKOUT.glob(pattern))
]
OF_EVERY_PIPELINE = {"pipeline.py", "nodes.py", "plan.py", "planning.py", "outputs.py"}


def test_picture_of_the_packages_is_fresh():
    picture = (CHECKOUT / "docs/pictures/packages.svg").read_text("utf-8")
    assert HOUSE_SCRIPT["draw"]() == picture, "run make docs"


def test_no_arrow_of_the_picture_is_behind_a_box_and_no_box_behind_another():
    placed = HOUSE_SCRIPT["_placed"]()
    links = list(HOUSE_SCRIPT["essential"](HOUSE_SCRIPT["arrows"]()))
    half = HOUSE_SCRIPT["_BOX"] / 2
    routes = HOUSE_SCRIPT["_routes"](placed, links)
    assert len(routes) == len(links) > 20
    for route in routes:
        for number in range(min(route) + 1, max(route)):
            assert all(abs(route[number] - x) > half for x in placed[number].boxes.values())
    for row in placed:
        middles = sorted(row.boxes.values())
        assert all(b - a > 2 * half for a, b in pairwise(middles)), row.boxes


def test_picture_of_the_terminal_loads_nothing_and_names_no_folder_of_its_maker():
    picture = (CHECKOUT / "docs/pictures/terminal.svg").read_text("utf-8")
    assert all(place.startswith("#") for place in re.findall(r"url\(([^)]*)\)", picture))
    assert not re.search(r"@font-face|@import|href=|src=|/tmp|/home|/root", picture)
    assert re.search(r"clips/s,&#160;\d+&#160;failed,&#160;ETA", picture)


def test_the_screen_of_the_picture_has_what_a_terminal_shows():
    screen = TERMINAL_SCRIPT["Screen"]()
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=60, color_system=None)
    with Live("bar 0\nsecond row", console=console, auto_refresh=False) as live:
        for number in (1, 2, 3):
            console.print(f"line {number}")
            live.update(f"bar {number}\nsecond row", refresh=True)
        written = stream.getvalue()
    screen.write(written)
    assert [line.strip() for line in screen.lines if line.strip()] == [
        "line 1", "line 2", "line 3", "bar 3", "second row",
    ]  # fmt: skip


@pytest.mark.parametrize("path", sorted(set(PATHS) - OF_EVERY_PIPELINE))
def test_every_path_of_the_architecture_exists(path):
    assert (PACKAGE / path).is_file() or (CHECKOUT / path).is_file()


@pytest.mark.parametrize(("name", "path"), sorted(set(NAMES)))
def test_every_name_of_the_architecture_is_in_its_file(name, path):
    defined = rf"^ *(?:def|class) {name}\b|^ *{name}\b[^=\n]*[=:]"
    assert re.search(defined, (PACKAGE / path).read_text("utf-8"), re.MULTILINE)


def anchors(document: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document, re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_link_leads_somewhere(path):
    folder = CHECKOUT / "docs" if path.name == "parameters.template.md" else path.parent
    for file, anchor in links(path.read_text("utf-8")):
        linked = folder / file if file else path
        assert linked.exists(), file
        assert not anchor or anchor in anchors(linked.read_text("utf-8")), (file, anchor)


def test_every_decision_is_in_the_index_under_its_own_title():
    index = (CHECKOUT / "docs/decisions/README.md").read_text("utf-8")
    listed = re.findall(r"^(\d+)\. \[(.+)\]\((.+\.md)\)", index, re.MULTILINE)
    titles = [path.read_text("utf-8").partition("\n")[0] for path in DECISIONS]
    assert [f"# {number}. {title}" for number, title, _ in listed] == titles
    assert [file for _, _, file in listed] == [path.name for path in DECISIONS]
