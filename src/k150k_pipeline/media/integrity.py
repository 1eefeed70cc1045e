"""Whether every frame of a clip decodes."""

from __future__ import annotations

from k150k_pipeline.media.ffmpeg import (
    check_complete,
    decode_arguments,
    find_ffmpeg,
    read_evidence,
)
from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.media.tools import run_tool, tool_errors


def decode_all(clip: ClipInfo, timeout_s: float) -> int:
    """Decode every frame, up to the first error, and return their number.

    Raises:
        ClipError: Stage ``decode``; the reasons of :mod:`k150k_pipeline.media.ffmpeg`, and
            ``timeout``.
    """
    ffmpeg = find_ffmpeg()
    command = [
        *decode_arguments(ffmpeg, clip, threads=1),
        "-map", f"0:{clip.stream_index}", "-fps_mode", "passthrough", "-f", "null", "-",
    ]  # fmt: skip
    with tool_errors("decode", clip.path, ffmpeg):
        result = run_tool(command, timeout_s=timeout_s)
    return check_complete(clip, read_evidence(clip, result))
