"""How the clips of a drop are probed, by the parameters."""

from __future__ import annotations

from pathlib import Path

from k150k_pipeline.media.facts import ClipFacts, read_facts
from k150k_pipeline.schemas.ingest import IngestParameters

_RULES = "1"
"""Raise it whenever the same parameters give other facts."""


def probe_clip(path: Path, ingest: IngestParameters, checksum: str = "") -> ClipFacts:
    """Read the facts of a clip; with ``ingest.integrity=decode`` its frames are decoded.

    Raises:
        ClipError: The clip is broken; stages ``probe`` and ``decode``.
        EngineError: ffprobe or ffmpeg cannot be run.
    """
    return read_facts(
        path,
        checksum,
        ffprobe_binary=ingest.ffprobe if ingest.probe == "ffprobe" else None,
        decode_timeout_s=ingest.clip_timeout_s if ingest.integrity == "decode" else None,
    )


def describe_probing(ingest: IngestParameters) -> dict[str, str | int]:
    """Return everything that determines the facts, for the journal's fingerprint."""
    return {"facts": _RULES, "probe": ingest.probe, "integrity": ingest.integrity}
