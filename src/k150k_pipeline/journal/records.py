"""Lines of a journal file: one header, then one line per finished clip.

Every line is a JSON object whose last key is a checksum of all before it, so that a torn or
changed line is recognised.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from k150k_pipeline.media.identity import FileIdentity

FORMAT = 1
HEADER_START = b'{"journal":'
_CRC_KEY = b',"crc":"'
_CRC_LENGTH = len(_CRC_KEY) + 8 + len(b'"}\n')
_PAYLOAD_KEY = b',"payload":'
_FIELDS = {"clip": str, "attempt": int, "at": (int, float), "seconds": (int, float)}
_FAILURE_FIELDS = {"stage": str, "reason": str, "detail": str}


Payload = dict[str, Any]
"""The result for a clip; its keys depend on the pipeline."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a clip failed; the fields are those of :class:`~k150k_pipeline.errors.ClipError`."""

    stage: str
    reason: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        """Return the fields as a plain mapping."""
        return {"stage": self.stage, "reason": self.reason, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished clip.

    Attributes:
        clip: Name of the clip.
        fingerprint: Fingerprint of everything that determines its numbers.
        attempt: Number of the attempt, from 1.
        at: When it finished, in seconds since the epoch.
        seconds: Wall-clock seconds it took.
        payload_json: Its result, as JSON; None if it failed.
        failure: Why it failed; None if it did not.
        file: The file that it was made from; None if that is not recorded.
    """

    clip: str
    fingerprint: str
    attempt: int
    at: float
    seconds: float
    payload_json: bytes | None
    failure: Failure | None
    file: FileIdentity | None = None

    @property
    def status(self) -> Literal["ok", "failed"]:
        """``ok`` or ``failed``."""
        return "ok" if self.failure is None else "failed"

    def payload(self) -> Payload:
        """Return the parsed result; empty if the clip failed."""
        parsed: Payload = json.loads(self.payload_json or b"{}")
        return parsed


def encode_payload(payload: Payload) -> bytes:
    """Return a payload as JSON; NaN is written as ``NaN``."""
    return _json(payload)


def encode_header(fingerprint: str, scoring: Mapping[str, Any], writer: Mapping[str, Any]) -> bytes:
    """Return the first line of a journal file."""
    header = {"journal": FORMAT, "fingerprint": fingerprint, "scoring": scoring, "writer": writer}
    return _seal(_json(header)[:-1])


def encode_entry(entry: Entry) -> bytes:
    """Return the line of a finished clip."""
    fields: dict[str, Any] = {
        "clip": entry.clip,
        "status": entry.status,
        "attempt": entry.attempt,
        "at": round(entry.at, 3),
        "seconds": round(entry.seconds, 4),
    }
    if entry.file is not None:
        fields["file"] = entry.file.as_dict()
    if entry.failure is not None:
        return _seal(_json({**fields, **entry.failure.as_dict()})[:-1])
    return _seal(_json(fields)[:-1] + _PAYLOAD_KEY + (entry.payload_json or b"{}"))


def decode_line(line: bytes) -> tuple[dict[str, Any], bytes | None] | None:
    """Return a line's fields and its payload as JSON; None if its checksum is wrong.

    The payload, by far the longest part, is not parsed. A line may end in CR LF.
    """
    if line.endswith(b"\r\n"):
        line = line[:-2] + b"\n"
    body = line[:-_CRC_LENGTH]
    if line[-_CRC_LENGTH:] != _tail(body):
        return None
    head, found, payload = body.partition(_PAYLOAD_KEY)
    try:
        fields: dict[str, Any] = json.loads(head + b"}")
    except ValueError:
        return None
    return fields, payload if found else None


def decode_entry(line: bytes, fingerprint: str) -> Entry | None:
    """Return the entry in a line; None if its checksum is wrong, or if it is not an entry."""
    decoded = decode_line(line)
    if decoded is None or not _is_entry(*decoded):
        return None
    fields, payload = decoded
    failure = None
    if fields["status"] == "failed":
        failure = Failure(fields["stage"], fields["reason"], fields["detail"])
    return Entry(
        clip=fields["clip"],
        fingerprint=fingerprint,
        attempt=fields["attempt"],
        at=fields["at"],
        seconds=fields["seconds"],
        payload_json=payload,
        failure=failure,
        file=FileIdentity.parse(fields.get("file")),
    )


def _is_entry(fields: Mapping[str, Any], payload: bytes | None) -> bool:
    if not _has(fields, _FIELDS):
        return False
    if fields.get("status") == "failed":
        return _has(fields, _FAILURE_FIELDS)
    return fields.get("status") == "ok" and payload is not None and payload.startswith(b"{")


def _has(fields: Mapping[str, Any], types: Mapping[str, Any]) -> bool:
    return all(isinstance(fields.get(name), kind) for name, kind in types.items())


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _seal(body: bytes) -> bytes:
    return body + _tail(body)


def _tail(body: bytes) -> bytes:
    return b'%b%08x"}\n' % (_CRC_KEY, zlib.crc32(body))
