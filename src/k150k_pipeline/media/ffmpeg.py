"""The ffmpeg binary: where it is, the arguments that decode faithfully, the evidence it prints.

Decoding lies by default: a rotation tag rotates, variable frame rate is padded to constant,
and broken slices end with exit status 0. Every caller decodes through this file.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

from k150k_pipeline.errors import ClipError, EngineError
from k150k_pipeline.media.containers import open_arguments
from k150k_pipeline.media.probe import ClipInfo, edit_list_discards
from k150k_pipeline.media.riff import dropped_frames
from k150k_pipeline.media.tools import ToolError, ToolResult, run_tool

_DECODED = re.compile(
    r"Input stream #0:\d+ \(video\): \d+ packets read .*?(\d+) frames decoded; (\d+) decode err"
)
_COMPLAINT = re.compile(r"\[(?:error|fatal|panic)\] (.+)")
_DAMAGE = re.compile(
    r"\[in#0/[^\]]+\] \[(?:error|warning)\] (.*(?:"
    r"invalid as first byte of an EBML number|Unknown-sized element|ended prematurely|"
    r"exceeds (?:max length|containing master element)|Invalid length 0x|"
    r"Packet mismatch -?\d+ (?!11 )).*)"
)
"""A demuxer that lost its place in a Matroska or FLV file, and goes on some frames later."""


@dataclass(frozen=True)
class DecodeEvidence:
    """What ffmpeg says it did: frames decoded, decode errors."""

    frames: int
    errors: int


def find_ffmpeg(override: Path | None = None) -> str:
    """Return the ffmpeg to use: the given one, else the one in the imageio-ffmpeg wheel.

    Raises:
        EngineError: There is none.
    """
    if override is not None:
        if not override.is_file():
            raise EngineError(f"vmaf.ffmpeg: {override} does not exist")
        return str(override)
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise EngineError(
            f"no ffmpeg: {error}. Install imageio-ffmpeg or set vmaf.ffmpeg"
        ) from error


@functools.lru_cache(maxsize=4)
def ffmpeg_version(ffmpeg: str) -> str:
    """Return the version token of an ffmpeg binary, such as ``n9.0.2-17-g2a571b6068``.

    Raises:
        EngineError: The binary does not run or does not answer like ffmpeg.
    """
    try:
        answer = run_tool([ffmpeg, "-version"], timeout_s=30)
    except (OSError, ToolError) as error:
        raise EngineError(f"cannot run {ffmpeg}: {error}") from error
    match = re.match(rb"ffmpeg version (\S+)", answer.stdout)
    if answer.returncode or match is None:
        raise EngineError(f"{ffmpeg} does not answer like ffmpeg: {answer.describe()}")
    return match.group(1).decode()


def decode_arguments(ffmpeg: str, clip: ClipInfo, threads: int) -> list[str]:
    """Return the start of a command that decodes every frame once and stops at corruption."""
    return [
        ffmpeg, "-nostdin", "-hide_banner", "-nostats", "-v", "level+verbose",
        "-xerror", "-err_detect", "explode",
        "-noautorotate", "-threads", str(threads),
        *open_arguments(clip.path),
    ]  # fmt: skip


def scored_pixel_format(clip: ClipInfo) -> str:
    """Return the format a clip is scored in: 4:2:0 with 8 bits, or 10 when it has more than 8."""
    return "yuv420p" if clip.bit_depth <= 8 else "yuv420p10le"


def conversion_filters(clip: ClipInfo) -> list[str]:
    """Return the filters that bring a clip to its scored format; none when it has it already.

    Samples of full range keep their values: libvmaf scores sample values as they were decoded.
    """
    target = scored_pixel_format(clip)
    if clip.pix_fmt == target:
        return []
    sample_range = ":in_range=full:out_range=full" if clip.full_range else ""
    return [f"scale=flags=bicubic+accurate_rnd+bitexact{sample_range},format={target}"]


def head_filters(first: int | None) -> list[str]:
    """Return the filter that ends a clip after its first frames; none where all are wanted.

    It stands before filters that change timestamps and pictures; it counts frames, not time.
    """
    return [] if first is None else [f"trim=end_frame={first}"]


def read_evidence(clip: ClipInfo, result: ToolResult) -> DecodeEvidence:
    """Read what a finished ffmpeg decoded.

    Raises:
        ClipError: Stage ``decode``; reasons ``corrupt`` (it failed, printed no account or lost
            its place in the container) and ``format_change`` (the pictures of the clip are not
            of one format).
    """
    match = _DECODED.search(result.stderr)
    if result.returncode or match is None:
        raise ClipError("decode", "corrupt", f"{clip.path}: {explain(result)}")
    if "Reconfiguring filter graph" in result.stderr:
        # What follows would be rescaled to the first picture's size, and libvmaf begin anew.
        raise ClipError("decode", "format_change", f"{clip.path}: size or pixel format changes")
    _refuse_damage(clip, result)
    return DecodeEvidence(*(int(group) for group in match.groups()))


def _refuse_damage(clip: ClipInfo, result: ToolResult) -> None:
    """Refuse what lost frames where the container does not count them.

    Where its end is in doubt, anything may follow it, and the doubt is reported.
    """
    damage = _DAMAGE.search(result.stderr)
    if damage and clip.frames is None and not clip.doubt:
        raise ClipError("decode", "corrupt", f"{clip.path}: {damage[1]}")


def check_complete(clip: ClipInfo, evidence: DecodeEvidence, first: int | None = None) -> int:
    """Compare the decoded frames with what the container claims, and return how many count.

    Args:
        clip: The clip.
        evidence: What was decoded of it.
        first: How many frames were asked for, by :func:`head_filters`; None for all. A clip that
            has that many is not read to its end, so what it claims beyond them is not compared;
            the decoder may be a few frames ahead. One that has fewer must be complete.

    Raises:
        ClipError: Stage ``decode``; reasons ``corrupt`` (decode errors), ``truncated`` (fewer
            frames than claimed), ``no_frame``.
    """
    if evidence.errors:
        raise ClipError("decode", "corrupt", f"{clip.path}: {evidence.errors} decode errors")
    if evidence.frames == 0:
        raise ClipError("decode", "no_frame", f"{clip.path}: no frame could be decoded")
    if first is not None and evidence.frames >= first:
        return first
    if clip.frames is None or evidence.frames >= clip.frames:
        return evidence.frames
    hidden = edit_list_discards(clip.path, clip.stream_index)
    expected = clip.frames - hidden - dropped_frames(clip.path, clip.stream_index)
    if evidence.frames < expected:
        raise ClipError(
            "decode",
            "truncated",
            f"{clip.path}: {evidence.frames} frames decoded, the container claims {expected}",
        )
    return evidence.frames


def explain(result: ToolResult, lines: int = 3) -> str:
    """Return the first complaints in ffmpeg's stderr, where causes stand, and its exit status."""
    complaints = list(dict.fromkeys(_COMPLAINT.findall(result.stderr)))
    said = " | ".join(complaints[:lines]) or "no message"
    return f"ffmpeg exit status {result.returncode}: {said}"
