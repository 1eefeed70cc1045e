"""Draw the packages and their imports as a Mermaid graph into docs/architecture.md.

The rows are those of the import contract in pyproject.toml, the arrows are the real imports. An
arrow that follows from two others is left out.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/architecture.md"
PACKAGE = "k150k_pipeline"
_BEGIN, _END = "<!-- picture: made by scripts/draw_house.py -->\n", "<!-- end of picture -->\n"

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
    return document.partition("\n")[0].rstrip(".").replace('"', "'").replace("`", "")


def draw() -> str:
    """Return the graph as a Mermaid block."""
    lines = ["```mermaid", "flowchart TB"]
    for number, row in enumerate(rows()):
        lines.append(f'  subgraph row{number}[" "]')
        lines += [f'    {part}["<b>{part}</b><br/>{purpose(part)}"]' for part in row]
        lines.append("  end")
    lines += [f"  {importer} --> {imported}" for importer, imported in essential(arrows())]
    return "\n".join([*lines, "```", ""])


def page_with_graph(page: str) -> str:
    """Return the page with a fresh graph between its markers."""
    head, begin, rest = page.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not begin or not end:
        raise SystemExit(f"{PAGE} lacks the markers {_BEGIN.strip()} and {_END.strip()}")
    return f"{head}{begin}\n{draw()}\n{end}{tail}"


def main() -> None:
    """Write the graph into the page; with ``--check`` only check that it is fresh."""
    page = PAGE.read_text("utf-8")
    fresh = page_with_graph(page)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(fresh, "utf-8")
    elif fresh != page:
        raise SystemExit(f"{PAGE} is stale: run make docs")


if __name__ == "__main__":
    main()
