"""Pages of the site from notebooks with their output, which ``make notebooks`` has made."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FIGURE = "application/vnd.plotly.v1+json"
_SCRIPTS = ("plotly.min.js", "plots.js")
_STYLE = re.compile(r"<style.*?</style>\s*", re.DOTALL)


def write_pages(made: Path, target: Path) -> None:
    """Write a Markdown page and the figures of each notebook.

    Args:
        made: Folder of the notebooks with their output, and of plotly's script; nothing is written
            if it does not exist.
        target: Folder of the pages.
    """
    notebooks = sorted(made.glob("*.ipynb"))
    if not notebooks:
        return
    target.mkdir(parents=True)
    shutil.copyfile(made / _SCRIPTS[0], target / _SCRIPTS[0])
    shutil.copyfile(Path(__file__).with_name(_SCRIPTS[1]), target / _SCRIPTS[1])
    for path in notebooks:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        page = "\n\n".join(_page(path.stem, cells, target))
        (target / f"{path.stem}.md").write_text(f"{page}\n", "utf-8")


def _page(name: str, cells: Sequence[Mapping[str, Any]], target: Path) -> Iterator[str]:
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield source
            if number == 0:
                yield f"`notebooks/{name}.ipynb`, run on the sample:"
                yield "\n".join(f'<script src="{script}"></script>' for script in _SCRIPTS)
            continue
        yield f"```python\n{source}\n```"
        for place, output in enumerate(cell["outputs"]):
            yield _output(output, f"{name}-{number}-{place}", target)


def _output(output: Mapping[str, Any], figure: str, target: Path) -> str:
    data = output.get("data", {})
    if FIGURE in data:
        drawn = f"drawFigure({json.dumps(figure)}, {json.dumps(data[FIGURE])});\n"
        (target / f"{figure}.js").write_text(drawn, "utf-8")
        return f'<div id="{figure}"></div>\n<script src="{figure}.js"></script>'
    if "text/html" in data:
        table = _STYLE.sub("", "".join(data["text/html"]))
        table = re.sub(r"<table [^>]*>", "<table>", table)  # the site has a look for plain tables
        lines = [line.strip() for line in table.splitlines()]
        return f'<div style="overflow-x: auto">{"".join(lines)}</div>'
    text = "".join(output.get("text") or data.get("text/plain", ""))
    return f"```text\n{text.rstrip()}\n```"
