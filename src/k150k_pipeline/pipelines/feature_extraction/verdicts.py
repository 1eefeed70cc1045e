"""The clips on which both plans agree, recorded beside the journal's files."""

from __future__ import annotations

import json

from k150k_pipeline.durable import write_text
from k150k_pipeline.journal import Journal

_FILE = "verified.jsonl"


def read_verdicts(journal: Journal) -> dict[str, list[str]]:
    """Return the clips on which both plans agreed, by fingerprint."""
    try:
        text = (journal.folder / _FILE).read_text("utf-8")
    except FileNotFoundError:
        return {}
    complete = text[: text.rfind("\n") + 1].splitlines()
    return {v["fingerprint"]: v["clips"] for v in map(json.loads, complete)}


def add_verdict(journal: Journal, fingerprint: str, clips: list[str]) -> None:
    """Record that both plans agree on these clips."""
    known = {**read_verdicts(journal), fingerprint: clips}
    lines = [json.dumps({"fingerprint": f, "clips": c}) + "\n" for f, c in known.items()]
    write_text(journal.folder / _FILE, "".join(lines))
