"""Links of Markdown."""

from __future__ import annotations

import re


def links(document: str) -> list[tuple[str, str]]:
    """Return file and anchor of every link that stays in the project; either may be empty."""
    targets = re.findall(r"\]\((?!https?://)([^)\s]+)\)", document)
    return [(file, anchor) for file, _, anchor in (target.partition("#") for target in targets)]
