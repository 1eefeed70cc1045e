"""Facts of a clip from its container and its first frame, with PyAV; no child process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media import pyav as av
from k150k_pipeline.media.containers import CLIP_OPTIONS, OPENED, check_container, clip_url

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_UNSTATED = 1 << 30
"""From this frame count on, more than a year, an AVI was streamed and its count is unknown."""


@dataclass(frozen=True)
class ClipInfo:
    """Facts of one clip.

    Attributes:
        path: The file.
        stream_index: Index of the first video stream that is not cover art.
        width: Width of a decoded frame in pixels, before any rotation tag.
        height: Height of a decoded frame in pixels, before any rotation tag.
        pix_fmt: Pixel format of a decoded frame, in ffmpeg's names.
        bit_depth: Bits per luma sample of a decoded frame.
        full_range: Whether samples use the full (JPEG) range.
        frames: Frame count that the container claims; None if it claims none.
        codec: Name of the codec, such as ``h264``.
        framerate: Frames per second on average; 0 if unknown.
        duration_s: Length in seconds; 0 if unknown.
        doubt: Why it is unknown whether the file is whole; empty if it is whole.
    """

    path: Path
    stream_index: int
    width: int
    height: int
    pix_fmt: str
    bit_depth: int
    full_range: bool
    frames: int | None
    codec: str
    framerate: float = 0.0
    duration_s: float = 0.0
    doubt: str = ""


def open_clip(path: Path, strict: bool = False) -> av.container.InputContainer:
    """Open a clip: a file on the disk, in one of the containers that clips come in.

    Args:
        path: The clip.
        strict: Whether damage of the container is an error.

    Raises:
        OSError: The file cannot be read.
        av.error.FFmpegError: It is not such a container.
    """
    explode = {"err_detect": "explode"} if strict else {}
    return av.open(clip_url(path), container_options={**CLIP_OPTIONS, **explode})


def stated_frames(claimed: int) -> int | None:
    """Return the frame count that a container claims; None if it claims none."""
    return claimed if 0 < claimed < _UNSTATED else None


def probe(path: Path) -> ClipInfo:
    """Open a clip, decode its first frame and return the facts.

    Raises:
        ClipError: Stage ``probe``; reasons ``missing``, ``not_a_file``, ``unreadable``,
            ``truncated``, ``not_media``, ``no_video``. Stage ``decode``; reasons ``corrupt``,
            ``no_frame``.
    """
    doubt = check_container(path)
    try:
        with open_clip(path) as container:
            return _inspect(path, container, doubt)
    except FileNotFoundError as error:
        raise ClipError("probe", "missing", f"{path} does not exist") from error
    except OSError as error:
        raise ClipError("probe", "unreadable", f"{path}: {error.strerror}") from error
    except (av.error.FFmpegError, ValueError) as error:
        raise ClipError("probe", "not_media", f"{path}: {error} ({OPENED})") from error


def edit_list_discards(path: Path, stream_index: int) -> int:
    """Return the number of packets that an edit list discards.

    Raises:
        ClipError: The file cannot be demuxed.
    """
    try:
        with open_clip(path) as container:
            packets = container.demux(container.streams[stream_index])
            return sum(1 for packet in packets if packet.size and packet.is_discard)
    except (av.error.FFmpegError, OSError) as error:
        raise ClipError("probe", "unreadable", f"{path}: {error}") from error


def _inspect(path: Path, container: av.container.InputContainer, doubt: str) -> ClipInfo:
    cover = av.stream.Disposition.attached_pic
    videos = [s for s in container.streams.video if not s.disposition & cover]
    if not videos:
        raise ClipError("probe", "no_video", f"{path} has no video stream")
    stream = videos[0]
    stream.thread_type = "NONE"
    frame = _first_frame(path, container, stream)
    return ClipInfo(
        path=path,
        stream_index=stream.index,
        width=frame.width,
        height=frame.height,
        pix_fmt=frame.format.name,
        bit_depth=frame.format.components[0].bits,
        full_range=frame.format.name.startswith("yuvj") or frame.color_range == _FULL_RANGE,
        frames=stated_frames(stream.frames),
        codec=stream.codec_context.codec.canonical_name,
        framerate=float(stream.average_rate or 0),
        duration_s=_duration(container, stream),
        doubt=doubt,
    )


def _duration(container: av.container.InputContainer, stream: av.video.VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return float((container.duration or 0) / av.time_base)


def _first_frame(
    path: Path, container: av.container.InputContainer, stream: av.video.VideoStream
) -> av.VideoFrame:
    try:
        for frame in container.decode(stream):
            return frame
    except av.error.FFmpegError as error:
        raise ClipError("decode", "corrupt", f"{path}: first frame: {error.strerror}") from error
    raise ClipError("decode", "no_frame", f"{path}: the video stream yields no frame")
