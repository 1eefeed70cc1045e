"""Draw the packages and their imports into docs/pictures/packages.svg.

The rows are those of the import contract in pyproject.toml, the arrows are the real imports. An
arrow that follows from two others is left out.
"""

from __future__ import annotations

import ast
import html
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs/pictures/packages.svg"
PACKAGE = "k150k_pipeline"

_WIDTH, _BOX, _GAP, _SPACE, _TITLE, _LINE = 1200, 214, 16, 46, 34, 15
_SHIFT, _MOVABLE = 80, 3  # rows are shifted, as arrows would run behind a column of boxes
_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" \
height="{height}" font-family="sans-serif" text-anchor="middle">
<style>
text {{ font-size: 12px; fill: #444 }} .name {{ font-size: 13px; font-weight: bold; fill: #111 }}
rect {{ fill: #f2f6fa; stroke: #4878a8 }} path {{ fill: none; stroke: #8aa0b4; stroke-width: 1.2 }}
</style>
<defs><marker id="end" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0 0 L8 4 L0 8" style="fill: #8aa0b4; stroke: none"/></marker></defs>
<rect width="{width}" height="{height}" style="fill: white; stroke: none"/>"""

Arrows = Mapping[str, frozenset[str]]
"""Name of a package or module, to those that it imports."""


def rows() -> list[list[str]]:
    """Return packages and modules row by row, from the top of the layers contract down."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers: list[str] = contracts["tool"]["importlinter"]["contracts"][0]["layers"]
    return [[part.strip().removeprefix(f"{PACKAGE}.") for part in row.split("|")] for row in layers]


def arrows() -> Arrows:
    """Return what each package or module imports, read from the code."""
    graph = grimp.build_graph(PACKAGE)
    found: dict[str, set[str]] = {}
    pattern = f"{PACKAGE}.** -> {PACKAGE}.**"
    for direct in graph.find_matching_direct_imports(import_expression=pattern):
        importer, imported = (direct[end].split(".")[1] for end in ("importer", "imported"))
        if importer != imported:
            found.setdefault(importer, set()).add(imported)
    return {part: frozenset(imported) for part, imported in found.items()}


def essential(graph: Arrows) -> Iterator[tuple[str, str]]:
    """Yield the arrows that do not follow from others, sorted."""
    for part in sorted(graph):
        for target in sorted(graph[part]):
            if not any(target in _reach(graph, other) for other in graph[part] - {target}):
                yield part, target


def _reach(graph: Arrows, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for part in graph.get(waiting.pop(), ()):
            if part not in seen:
                seen.add(part)
                waiting.append(part)
    return seen


def purpose(part: str) -> str:
    """Return the first line of the docstring of a package or module, without its full stop."""
    place = ROOT / "src" / PACKAGE / part
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    document = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return document.partition("\n")[0].rstrip(".").replace("`", "")


def draw() -> str:
    """Return the picture as SVG."""
    places = dict(_places())
    drawn = [_arrow(places[importer], places[to]) for importer, to in essential(arrows())]
    drawn += [_box(part, place) for part, place in places.items()]
    height = max(place.bottom for place in places.values()) + _GAP
    return "\n".join([_HEAD.format(width=_WIDTH, height=height), *drawn, "</svg>", ""])


@dataclass(frozen=True)
class Place:
    """Where a box is, in pixels: its middle from the left, its ends from the top."""

    middle: float
    top: int
    bottom: int


def _places() -> Iterator[tuple[str, Place]]:
    top = _GAP
    for depth, row in enumerate(rows()):
        shift = (depth % 3 - 1) * _SHIFT if len(row) <= _MOVABLE else 0
        height = _TITLE + _LINE * max(len(_lines(part)) for part in row)
        for number, part in enumerate(row):
            middle = _WIDTH * (number + 0.5) / len(row) + shift
            yield part, Place(middle, top, top + height)
        top += height + _SPACE


def _lines(part: str) -> list[str]:
    return textwrap.wrap(purpose(part), 33)


def _box(part: str, place: Place) -> str:
    left, height = place.middle - _BOX / 2, place.bottom - place.top
    texts = [
        f'<text x="{place.middle:g}" y="{y}">{html.escape(line, quote=False)}</text>'
        for y, line in zip(count(place.top + 38, _LINE), _lines(part), strict=False)
    ]
    title = f'<text class="name" x="{place.middle:g}" y="{place.top + 20}">{part}</text>'
    box = f'<rect x="{left:g}" y="{place.top}" width="{_BOX}" height="{height}" rx="4"/>'
    return "\n".join([box, title, *texts])


def _arrow(importer: Place, imported: Place) -> str:
    bend = min((imported.top - importer.bottom) / 2, 60)
    start, end = f"{importer.middle:g} {importer.bottom}", f"{imported.middle:g} {imported.top - 4}"
    first = f"{importer.middle:g} {importer.bottom + bend:g}"
    second = f"{imported.middle:g} {imported.top - 4 - bend:g}"
    return f'<path d="M{start} C{first} {second} {end}" marker-end="url(#end)"/>'


def main() -> None:
    """Write the picture; with ``--check`` only check that it is fresh."""
    fresh = draw()
    if "--check" not in sys.argv[1:]:
        PICTURE.write_text(fresh, "utf-8")
    elif not PICTURE.exists() or PICTURE.read_text("utf-8") != fresh:
        raise SystemExit(f"{PICTURE} is stale: run make docs")


if __name__ == "__main__":
    main()
