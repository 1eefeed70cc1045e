"""The containers that clips come in, how they are recognised, and how ffmpeg may open a clip.

ffmpeg also reads playlists, session descriptions and lists of pictures, which are text that names
other files and addresses. Only containers that hold their own media are opened, and only as files.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media import boxes, flv, matroska, riff
from k150k_pipeline.media.wholeness import TooManyPartsError, Wholeness

_FORMATS = (
    *("mov", "matroska", "avi", "flv", "live_flv", "mpegts", "mpeg", "asf", "ogg", "nut"),
    *("h264", "hevc", "obu", "ivf"),  # what encodes are kept as
)

OPENED = (
    "only MP4, MOV, Matroska, WebM, AVI, FLV, MPEG-TS, MPEG-PS, ASF, Ogg, NUT, IVF and bare "
    "H.264, HEVC and AV1 are opened"
)
"""End of the message on a file that cannot be opened."""

CLIP_OPTIONS: Mapping[str, str] = {
    "format_whitelist": ",".join(_FORMATS),
    "protocol_whitelist": "file",
}
"""Options with which ffmpeg, ffprobe and PyAV open a clip."""

HEAD_BYTES = 512
"""Number of bytes at the beginning of a file by which its container is recognised."""

_EBML, _RIFF, _FLV = b"\x1a\x45\xdf\xa3", b"RIFF", b"FLV"
_STREAMS = (b"\x00\x00\x01\xba", b"\x30\x26\xb2\x75", b"OggS")
_LEAST_BYTES = 12  # with fewer bytes no container is recognised

_Examiner = Callable[[BinaryIO, int], Wholeness]


def open_arguments(path: Path) -> list[str]:
    """Return the arguments with which ffmpeg and ffprobe open a clip."""
    options = [word for name, value in CLIP_OPTIONS.items() for word in (f"-{name}", value)]
    return [*options, "-i", clip_url(path)]


def clip_url(path: Path) -> str:
    """Return a clip's path in a form of which nothing is taken for a protocol or an option."""
    return f"file:{path}"


def is_container(head: bytes) -> bool:
    """Return whether these first bytes are those of a container that clips come in.

    A file that is cut off after a few bytes counts as one.
    """
    return _examiner(head) is not None or _is_beginning(head)


def check_container(path: Path) -> str:
    """Refuse what is not a file, and a container whose end is missing.

    Returns:
        Why it is unknown whether the file is whole; empty if it is whole.

    Raises:
        ClipError: Stage ``probe``; reasons ``missing``, ``not_a_file``, ``truncated``,
            ``unreadable``.
    """
    try:
        require_file(path)
        wholeness = examine(path)
    except FileNotFoundError as error:
        raise ClipError("probe", "missing", f"{path} does not exist") from error
    except OSError as error:
        raise ClipError("probe", "unreadable", f"{path}: {error.strerror}") from error
    if wholeness.missing:
        raise ClipError("probe", "truncated", f"{path}: {wholeness.missing}")
    return wholeness.doubt


def examine(path: Path) -> Wholeness:
    """Return whether a container is whole; a file of another kind is in doubt.

    Raises:
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        examiner = _examiner(head)
        if size < _LEAST_BYTES and is_container(head):
            return Wholeness(missing=f"it has {size} bytes")
        try:
            return (examiner or _examine_stream)(file, size)
        except TooManyPartsError:
            return Wholeness(doubt="it has too many parts to be walked through")


def require_file(path: Path) -> None:
    """Refuse what is not a regular file.

    Raises:
        ClipError: Stage ``probe``, reason ``not_a_file``.
        OSError: It does not exist, or cannot be looked at.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise ClipError("probe", "not_a_file", f"{path} is {kind}; put the clip's file there")


def _examiner(head: bytes) -> _Examiner | None:
    """Return the function that examines a file with these first bytes; None if it is unknown."""
    if head[4:8] in boxes.FIRST:
        return boxes.examine
    if head.startswith(_EBML):
        return matroska.examine
    if head.startswith(_RIFF) and head[8:12] == b"AVI ":
        return riff.examine
    if head.startswith(_FLV):
        return flv.examine
    return _examine_stream if _is_stream(head) else None


def _is_beginning(head: bytes) -> bool:
    """Return whether these few bytes may be the beginning of a container."""
    if not 0 < len(head) < _LEAST_BYTES:
        return False
    first, kind = head[:4], head[4:8]
    is_size = first.startswith(b"\0\0"[: len(first)])
    return any(known.startswith(first) for known in (_EBML, _RIFF, _FLV, *_STREAMS)) or (
        is_size and any(known.startswith(kind) for known in boxes.FIRST)
    )


def _is_stream(head: bytes) -> bool:
    """Return whether a file is an MPEG transport or programme stream, ASF or Ogg."""
    if head.startswith(_STREAMS):
        return True
    packets = ((0, 188), (4, 192))
    return any(head[at : at + 1] == head[at + step : at + step + 1] == b"G" for at, step in packets)


def _examine_stream(_file: BinaryIO, _size: int) -> Wholeness:
    return Wholeness(doubt="its container does not state where it ends")
