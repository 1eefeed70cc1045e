"""What journals say, read without the code that is under test."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path


def journaled(folder: Path, status: str = "") -> Counter[str]:
    """Return how many whole lines each clip has in the shards of a journal, of a status if given.

    A clip that has failed is tried again in the next run, which adds a line.
    """
    lines = [
        json.loads(line)
        for path in folder.glob("shard-*")
        for line in path.read_text().splitlines(keepends=True)[1:]
        if line.endswith("\n")
    ]
    return Counter(line["clip"] for line in lines if status in ("", line["status"]))


def announced_at(folder: Path) -> float:
    """Return when the latest run that planned its work began; 0 if none has."""
    try:
        return float(json.loads((folder / "run.json").read_text())["started_at"])
    except FileNotFoundError:
        return 0.0
