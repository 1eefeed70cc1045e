"""A report as a test reads it: its text, its tables, and the numbers embedded in it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any


class ReadPage(HTMLParser):
    """The parts of a page.

    Attributes:
        data: The JSON document of the element ``data``.
        text: The visible text.
        tags: Every start tag with its attributes.
        tables: The cells of each table by its caption, row by row, without the header.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags = "", []
        self.tables: dict[str, list[list[str]]] = {}
        self._open: list[str] = []
        self._caption, self._json = "", ""
        # The scripts are megabytes without a tag; what is between other tags is read.
        self.feed(re.sub(r"(<script>).*?(</script>)", r"\1\2", html, flags=re.DOTALL))
        self.data: dict[str, Any] = json.loads(self._json)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append("data" if ("id", "data") in attrs else tag)
        if tag == "tr" and "tbody" in self._open:
            self.tables[self._caption].append([])
        if tag == "td":
            self.tables[self._caption][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() not in (tag, "data"):
            continue

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "data":
            self._json += data
        elif inside not in ("script", "style"):
            self.text += data
        if inside == "caption":
            self._caption = data
            self.tables[data] = []
        if inside == "td":
            self.tables[self._caption][-1][-1] += data
