"""Lines of a journal file: one header, then one line per finished clip."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

FORMAT = 1


@dataclass(frozen=True)
class Failure:
    """Why a clip failed: stage, countable reason, and detail for a person."""

    stage: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Entry:
    """One finished clip.

    Attributes:
        clip: Name of the clip.
        fingerprint: Key of what determined its numbers.
        attempt: 1 for the first try.
        at: When it finished, in seconds since the epoch.
        seconds: Wall-clock seconds it took.
        payload: What was computed; None when it failed.
        failure: Why it failed; None when it did not.
    """

    clip: str
    fingerprint: str
    attempt: int
    at: float
    seconds: float
    payload: dict[str, Any] | None
    failure: Failure | None

    @property
    def status(self) -> Literal["ok", "failed"]:
        """``ok`` or ``failed``."""
        return "failed" if self.payload is None else "ok"


def encode_header(fingerprint: str, scoring: dict[str, Any], writer: dict[str, Any]) -> bytes:
    """Return the first line of a journal file."""
    return _line(
        {"journal": FORMAT, "fingerprint": fingerprint, "scoring": scoring, "writer": writer}
    )


def encode_entry(entry: Entry) -> bytes:
    """Return the line of a finished clip; NaN is written as ``NaN``."""
    common = {
        "clip": entry.clip,
        "status": entry.status,
        "attempt": entry.attempt,
        "at": round(entry.at, 3),
        "seconds": round(entry.seconds, 4),
    }
    if entry.failure is None:
        return _line({**common, "payload": entry.payload})
    return _line({**common, **vars(entry.failure)})


def decode_entry(record: dict[str, Any], fingerprint: str) -> Entry:
    """Return the entry in a parsed line.

    Raises:
        KeyError: The line lacks a field.
    """
    failed = record["status"] == "failed"
    return Entry(
        clip=record["clip"],
        fingerprint=fingerprint,
        attempt=record["attempt"],
        at=record["at"],
        seconds=record["seconds"],
        payload=None if failed else record["payload"],
        failure=Failure(record["stage"], record["reason"], record["detail"]) if failed else None,
    )


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
