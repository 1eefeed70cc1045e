"""The facts of a clip that a corpus row records."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media.ffprobe import ffprobe
from k150k_pipeline.media.hashing import checksum_mismatch, hash_file
from k150k_pipeline.media.integrity import decode_all
from k150k_pipeline.media.probe import probe


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """Facts of a sound clip.

    Attributes:
        sha256: SHA-256 of the file.
        size: Bytes of the file.
        mtime_ns: When the file last changed; a replaced file is recognised by it.
        width: Width in pixels, before any rotation tag.
        height: Height in pixels, before any rotation tag.
        framerate: Frames per second on average.
        duration_s: Length in seconds.
        pix_fmt: Pixel format in ffmpeg's names.
        codec: Name of the codec, such as ``h264``.
        doubt: Why it is unknown whether the file is whole; empty if it is whole.
    """

    sha256: str
    size: int
    mtime_ns: int
    width: int
    height: int
    framerate: float
    duration_s: float
    pix_fmt: str
    codec: str
    doubt: str = ""

    def as_payload(self) -> dict[str, str | int | float]:
        """Return the facts in the form of the journal, without an empty doubt."""
        facts = asdict(self)
        return facts if self.doubt else {k: v for k, v in facts.items() if k != "doubt"}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Return the facts from a payload that :meth:`as_payload` made."""
        return cls(**payload)


def read_facts(
    path: Path,
    checksum: str = "",
    *,
    ffprobe_binary: Path | None = None,
    decode_timeout_s: float | None = None,
) -> ClipFacts:
    """Probe a clip, check it and hash it.

    Args:
        path: The clip.
        checksum: Hex digest that the clip must have; empty if none is known.
        ffprobe_binary: The ffprobe that probes it; None for PyAV, which needs no binary.
        decode_timeout_s: Time limit of decoding every frame, in seconds; None to decode none.

    Raises:
        ClipError: The clip is broken; stages ``probe`` and ``decode``.
        EngineError: ffprobe or ffmpeg cannot be run.
    """
    clip = probe(path) if ffprobe_binary is None else ffprobe(ffprobe_binary, path)
    if decode_timeout_s is not None:
        decode_all(clip, decode_timeout_s)
    status = _status(path)
    return ClipFacts(
        sha256=_digest(path, checksum),
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        width=clip.width,
        height=clip.height,
        framerate=clip.framerate,
        duration_s=clip.duration_s,
        pix_fmt=clip.pix_fmt,
        codec=clip.codec,
        doubt=clip.doubt,
    )


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise ClipError("probe", "unreadable", f"{path}: {error.strerror}") from error


def _digest(path: Path, checksum: str) -> str:
    try:
        if checksum and (mismatch := checksum_mismatch(path, checksum)):
            raise ClipError("probe", "wrong_checksum", mismatch)
        return hash_file(path)
    except OSError as error:
        raise ClipError("probe", "unreadable", f"{path}: {error.strerror}") from error
