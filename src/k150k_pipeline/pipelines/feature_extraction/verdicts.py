"""The clips on which both plans agree, recorded beside the journal's files."""

from __future__ import annotations

import json
from typing import Any

from k150k_pipeline.damaged import set_aside
from k150k_pipeline.durable import write_text
from k150k_pipeline.journal import Journal
from k150k_pipeline.storage import fetched

_FILE = "verified.jsonl"

Verdicts = dict[str, list[str]]
"""The clips on which both plans agreed, by fingerprint."""


def read_verdicts(journal: Journal) -> Verdicts:
    """Return the recorded verdicts.

    A damaged file is set aside, and what can be read of it is recorded again.
    """
    path = journal.folder / _FILE
    try:
        parsed = [_parse(line) for line in fetched(path).read_bytes().splitlines()]
    except FileNotFoundError:
        return {}
    verdicts: Verdicts = {}
    for verdict in parsed:
        verdicts.update(verdict)
    if not all(parsed):
        reason = f"line {parsed.index({}) + 1} is no verdict"
        set_aside(path, reason, "the plans are verified again where it has nothing else")
        _write(journal, verdicts)
    return verdicts


def add_verdict(journal: Journal, fingerprint: str, clips: list[str]) -> None:
    """Record that both plans agree on these clips."""
    _write(journal, {**read_verdicts(journal), fingerprint: clips})


def _write(journal: Journal, verdicts: Verdicts) -> None:
    lines = [json.dumps({"fingerprint": f, "clips": c}) + "\n" for f, c in verdicts.items()]
    write_text(journal.folder / _FILE, "".join(lines))


def _parse(line: bytes) -> Verdicts:
    """Return the verdict in a line; empty if there is none."""
    try:
        verdict: Any = json.loads(line)
        key, clips = verdict["fingerprint"], verdict["clips"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    whole = isinstance(key, str) and isinstance(clips, list)
    return {key: clips} if whole and all(isinstance(clip, str) for clip in clips) else {}
