"""Facts of a clip from ffprobe, the alternative to PyAV for comparisons with ffmpeg."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media import pyav as av
from k150k_pipeline.media.containers import OPENED, check_container, open_arguments
from k150k_pipeline.media.probe import ClipInfo, stated_frames
from k150k_pipeline.media.tools import run_tool, tool_errors

_ENTRIES = (
    "stream=index,width,height,avg_frame_rate,duration,pix_fmt,codec_name,nb_frames,color_range"
    ":stream_disposition=attached_pic:format=duration"
)
_TIMEOUT_S = 60.0


def ffprobe(binary: Path, path: Path) -> ClipInfo:
    """Return the facts of a clip from ffprobe; no frame is decoded.

    Raises:
        ClipError: Stage ``probe``; reasons ``missing``, ``not_a_file``, ``unreadable``,
            ``truncated``, ``not_media``, ``no_video``, ``timeout``.
        EngineError: The binary cannot be run.
    """
    doubt = check_container(path)
    command = [
        str(binary), "-v", "error", "-select_streams", "v", "-show_entries", _ENTRIES,
        "-of", "json", *open_arguments(path),
    ]  # fmt: skip
    with tool_errors("probe", path, f"{binary} (ingest.ffprobe)"):
        result = run_tool(command, timeout_s=_TIMEOUT_S)
    if result.returncode:
        raise ClipError("probe", "not_media", f"{path}: {result.describe()} ({OPENED})")
    return _read(path, json.loads(result.stdout), doubt)


def _read(path: Path, document: dict[str, Any], doubt: str) -> ClipInfo:
    videos = [s for s in document["streams"] if not s["disposition"]["attached_pic"]]
    if not videos:
        raise ClipError("probe", "no_video", f"{path} has no video stream")
    stream = videos[0]
    if not stream.get("width") or "pix_fmt" not in stream:
        raise ClipError("probe", "not_media", f"{path}: ffprobe finds no picture size")
    pix_fmt: str = stream["pix_fmt"]
    return ClipInfo(
        path=path,
        stream_index=stream["index"],
        width=stream["width"],
        height=stream["height"],
        pix_fmt=pix_fmt,
        bit_depth=av.VideoFormat(pix_fmt).components[0].bits,
        full_range=pix_fmt.startswith("yuvj") or stream.get("color_range") == "pc",
        frames=stated_frames(int(stream.get("nb_frames", 0))),
        codec=stream["codec_name"],
        framerate=_ratio(stream["avg_frame_rate"]),
        duration_s=float(stream.get("duration") or document["format"].get("duration") or 0),
        doubt=doubt,
    )


def _ratio(text: str) -> float:
    return 0.0 if text.endswith("/0") else float(Fraction(text))
