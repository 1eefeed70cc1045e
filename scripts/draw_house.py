"""Draw the packages and their imports into docs/pictures/packages.svg.

The rows are those of the import contract in pyproject.toml, the arrows are the real imports. An
arrow that follows from two others is left out. The others pass between the boxes, not behind them.
"""

from __future__ import annotations

import ast
import html
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs/pictures/packages.svg"
PACKAGE = "k150k_pipeline"

_WIDTH, _MARGIN, _BOX, _GAP, _SPACE, _TITLE, _LINE = 1280, 70, 176, 16, 54, 34, 15
_LETTERS = 28  # of a line in a box
_APART, _CLEAR = 8, 7  # pixels between arrows, and between an arrow and a box
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
    placed = _placed()
    drawn = [_path(points, placed) for points in _routes(placed, list(essential(arrows())))]
    drawn += [_box(part, row) for row in placed for part in row.boxes]
    height = placed[-1].bottom + _GAP
    return "\n".join([_HEAD.format(width=_WIDTH, height=height), *drawn, "</svg>", ""])


Points = Mapping[int, int]
"""Where an arrow is, in pixels from the left, by number of the row."""


@dataclass(frozen=True)
class Row:
    """Boxes beside each other, in pixels.

    Attributes:
        top: From the top of the picture.
        bottom: From the top of the picture.
        boxes: Middle of each box from the left.
    """

    top: int
    bottom: int
    boxes: Mapping[str, int]

    def gaps(self) -> list[tuple[int, int]]:
        """Return the places between the boxes and beside them, from left to right."""
        reach = _BOX // 2 + _CLEAR
        ends = [_CLEAR, *(x + side for x in self.boxes.values() for side in (-reach, reach))]
        return list(zip(ends[::2], [*ends[1::2], _WIDTH - _CLEAR], strict=True))


def _placed() -> list[Row]:
    top, placed = _GAP, []
    for row in rows():
        height = _TITLE + _LINE * max(len(_lines(part)) for part in row)
        room = (_WIDTH - 2 * _MARGIN) / len(row)
        middles = {part: round(_MARGIN + room * (n + 0.5)) for n, part in enumerate(row)}
        placed.append(Row(top, top + height, middles))
        top += height + _SPACE
    return placed


def _routes(placed: Sequence[Row], links: Sequence[tuple[str, str]]) -> list[dict[int, int]]:
    """Return where each arrow is in each row that it begins, ends or passes, behind no box."""
    numbers = {part: number for number, row in enumerate(placed) for part in row.boxes}
    found = []
    for importer, imported in links:
        first, last = numbers[importer], numbers[imported]
        ends = placed[first].boxes[importer], placed[last].boxes[imported]
        found.append(_way(placed, first, last, *ends))
    for number, row in enumerate(placed):
        for gap in row.gaps():
            _spread([route for route in found if _passes(route, number, gap)], number, gap)
        for part, middle in row.boxes.items():
            sides = (middle - _BOX // 2, middle + _BOX // 2)
            for end in (0, 1):
                here = zip(links, found, strict=True)
                _spread([route for link, route in here if link[end] == part], number, sides)
    return found


def _way(placed: Sequence[Row], first: int, last: int, begin: int, end: int) -> dict[int, int]:
    """Return the shortest way through the gaps of the rows between two boxes."""
    ways: list[tuple[int, dict[int, int]]] = [(0, {first: begin})]
    for number in range(first + 1, last + 1):
        ideal = begin + (end - begin) * (number - first) // (last - first)
        gaps = placed[number].gaps() if number < last else [(end, end)]
        places = [min(max(ideal, low), high) for low, high in gaps]
        ways = [min((_longer(way, number, x) for way in ways), key=lambda w: w[0]) for x in places]
    return ways[0][1]


def _longer(way: tuple[int, dict[int, int]], number: int, x: int) -> tuple[int, dict[int, int]]:
    length, points = way
    return length + abs(x - points[number - 1]), {**points, number: x}


def _passes(route: Points, number: int, gap: tuple[int, int]) -> bool:
    inside = min(route) < number < max(route)
    return inside and gap[0] <= route[number] <= gap[1]


def _spread(routes: list[dict[int, int]], number: int, gap: tuple[int, int]) -> None:
    """Move arrows in a gap, or at a side of a box, beside each other."""
    low, high = gap
    apart = min(_APART, (high - low) // (len(routes) + 1))
    ordered = sorted(routes, key=lambda route: (route[number], _towards(route, number)))
    least = low + apart
    for place, route in enumerate(ordered):
        most = high - apart * (len(ordered) - place)
        route[number] = min(max(route[number], least), most)
        least = route[number] + apart


def _towards(route: Points, number: int) -> int:
    """Return where an arrow comes from and goes to, to sort those at one place."""
    return route.get(number - 1, 0) + route.get(number + 1, 0)


def _lines(part: str) -> list[str]:
    return textwrap.wrap(purpose(part), _LETTERS)


def _box(part: str, row: Row) -> str:
    middle, height = row.boxes[part], row.bottom - row.top
    texts = [
        f'<text x="{middle}" y="{y}">{html.escape(line, quote=False)}</text>'
        for y, line in zip(count(row.top + 38, _LINE), _lines(part), strict=False)
    ]
    title = f'<text class="name" x="{middle}" y="{row.top + 20}">{part}</text>'
    left = middle - _BOX // 2
    box = f'<rect x="{left}" y="{row.top}" width="{_BOX}" height="{height}" rx="4"/>'
    return "\n".join([box, title, *texts])


def _path(points: Points, placed: Sequence[Row]) -> str:
    """Return an arrow: straight beside boxes, bent between rows only."""
    first, last = min(points), max(points)
    x, y = points[first], placed[first].bottom
    steps = [f"M{x} {y}"]
    for number in range(first + 1, last + 1):
        to, top = points[number], placed[number].top - (4 if number == last else 0)
        bend = (y + top) // 2
        steps.append(f"C{x} {bend} {to} {bend} {to} {top}")
        x, y = to, placed[number].bottom
        if number < last:
            steps.append(f"V{y}")
    return f'<path d="{" ".join(steps)}" marker-end="url(#end)"/>'


def main() -> None:
    """Write the picture; with ``--check`` only check that it is fresh."""
    fresh = draw()
    if "--check" not in sys.argv[1:]:
        PICTURE.write_text(fresh, "utf-8")
    elif not PICTURE.exists() or PICTURE.read_text("utf-8") != fresh:
        raise SystemExit(f"{PICTURE} is stale: run make docs")


if __name__ == "__main__":
    main()
