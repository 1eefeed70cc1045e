"""Finish the pages that ``kedro viz build`` has made: ``make viz``.

They ask for a font at Google and for a file that is not written. A tour of the features of
kedro-viz and a small map hide two corners of every page. They can be switched on there. A wide
graph is drawn beneath the names of the layers and beyond both edges of the window, as kedro-viz
fits the centres of its boxes into all of the width, at a tenth of their size or more; so it gets
margins, and may be smaller.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

BUILD = Path(__file__).resolve().parents[1] / "build"

_FONT = re.compile(r"https://fonts\.googleapis\.com/[^\"']*")
_CONNECTION = re.compile(r'\s*<link rel="preconnect"[^>]*>')
_TOUR = re.compile(r"(showFeatureHints:\{[^{}]*default:)!0")
_MAP = re.compile(r"(visible:\{[^{}]*miniMap:)!0")
_OFFSET = re.compile(r"(\{x:\w+\.sidebarWidth)(,y:0\})")
_WIDTH = re.compile(r"(viewWidth:\w+)(,(?:\w+:\w+,){3}sidebarWidth:)")
_LEFT_PX, _RIGHT_PX = 140, 25
_SMALLEST = re.compile(r"(minScaleFocus:[^{}]*?:)\.1(,focusOffset:0)")
_COMPATIBLE = ("fsspec", "kedro-datasets")


def finish(build: Path) -> None:
    """Change the pages of a folder, and write the file that they ask for.

    Raises:
        SystemExit: There are no pages.
    """
    pages = [*build.glob("*.html"), *build.glob("assets/*.js")]
    if not (build / "index.html").is_file():
        raise SystemExit(f"{build} has no lineage: run kedro viz build first")
    for path in pages:
        text = path.read_text("utf-8")
        text = _CONNECTION.sub("", _FONT.sub("data:text/css,", text))
        text = _MAP.sub(r"\1!1", _TOUR.sub(r"\1!1", text))
        path.write_text(_with_margins(text), "utf-8")
    packages = [
        {"package_name": name, "package_version": "", "is_compatible": True} for name in _COMPATIBLE
    ]
    document = {"has_missing_dependencies": False, "package_compatibilities": packages}
    (build / "api/metadata").write_text(json.dumps(document), "utf-8")


def _with_margins(script: str) -> str:
    moved = _OFFSET.sub(rf"\1+{_LEFT_PX}\2", script)
    narrower = _WIDTH.sub(rf"\1-{_LEFT_PX + _RIGHT_PX}\2", moved)
    return _SMALLEST.sub(r"\1.05\2", narrower)


if __name__ == "__main__":
    finish(Path(sys.argv[1]) if len(sys.argv) > 1 else BUILD)
