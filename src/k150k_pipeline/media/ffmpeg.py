"""The ffmpeg binary: its path, the arguments that decode faithfully, and checks of its output.

By default ffmpeg alters what it decodes: it rotates by the rotation tag, pads variable frame rate
to constant, and ends with exit status 0 after broken slices. All decoding uses this module.
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
from k150k_pipeline.media.wholeness import is_end_known

_DECODED = re.compile(
    r"Input stream #0:\d+ \(video\): \d+ packets read .*?(\d+) frames decoded; (\d+) decode err"
)
_ERROR = re.compile(r"\[(?:error|fatal|panic)\] (.+)")
_DAMAGE = re.compile(
    r"\[in#0[/ ][^\]]+\] \[(?:error|warning)\] (.*(?:"
    r"invalid as first byte of an EBML number|Unknown-sized element|ended prematurely|"
    r"exceeds (?:max length|containing master element)|Invalid length 0x|Invalid track number|"
    r"Packet mismatch -?\d+ (?!11 )).*)"
)
"""Message of a demuxer that skips damaged frames in a Matroska or FLV file."""
_DAMAGED_PICTURE = re.compile(r"\[hevc @ [^\]]+\] \[error\] (CABAC_MAX_BIN.*)")
"""Message of a decoder that makes something up and counts no error."""


@dataclass(frozen=True)
class DecodeEvidence:
    """Numbers of decoded frames and of decode errors, as ffmpeg prints them."""

    frames: int
    errors: int


def find_ffmpeg(override: Path | None = None) -> str:
    """Return the ffmpeg to use: the given one, else the one in the imageio-ffmpeg wheel.

    Raises:
        EngineError: There is none.
    """
    if override is not None:
        if not override.is_file():
            raise EngineError(
                f"vmaf.ffmpeg: {override} does not exist. Name another ffmpeg, or leave it out to "
                "use that of the imageio-ffmpeg wheel"
            )
        return str(override)
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise EngineError(
            f"there is no ffmpeg: {error}. Install imageio-ffmpeg, or set vmaf.ffmpeg"
        ) from error


@functools.lru_cache(maxsize=4)
def ffmpeg_version(ffmpeg: str) -> str:
    """Return the version token of an ffmpeg binary, such as ``n9.0.2-17-g2a571b6068``.

    Raises:
        EngineError: The binary cannot be run, or prints no version of ffmpeg.
    """
    try:
        result = run_tool([ffmpeg, "-version"], timeout_s=30)
    except (OSError, ToolError) as error:
        raise EngineError(
            f"{ffmpeg} cannot be run: {error}. Name another ffmpeg with vmaf.ffmpeg"
        ) from error
    match = re.match(rb"ffmpeg version (\S+)", result.stdout)
    if result.returncode or match is None:
        raise EngineError(
            f"{ffmpeg} does not answer like ffmpeg: {result.describe()}. Name another with "
            "vmaf.ffmpeg"
        )
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
    """Return the format in which a clip is scored: 4:2:0 with 8 bits, or 10 if it has more."""
    return "yuv420p" if clip.bit_depth <= 8 else "yuv420p10le"


def conversion_filters(clip: ClipInfo) -> list[str]:
    """Return the filters that convert a clip to its scored format; none if it has that format.

    Samples of full range keep their values: libvmaf scores sample values as they are decoded.
    """
    target = scored_pixel_format(clip)
    if clip.pix_fmt == target:
        return []
    sample_range = ":in_range=full:out_range=full" if clip.full_range else ""
    return [f"scale=flags=bicubic+accurate_rnd+bitexact{sample_range},format={target}"]


def head_filters(first: int | None) -> list[str]:
    """Return the filter that ends a clip after its ``first`` frames; none if that is None.

    Put it before filters that change timestamps or pictures. It counts frames, not time.
    """
    return [] if first is None else [f"trim=end_frame={first}"]


def read_evidence(clip: ClipInfo, result: ToolResult) -> DecodeEvidence:
    """Read how many frames a finished ffmpeg decoded.

    Raises:
        ClipError: Stage ``decode``; reasons ``corrupt`` (ffmpeg failed, printed no counts, or
            skipped a damaged part) and ``format_change`` (the pictures of the clip are not all of
            one format). Stage ``probe``, reason ``missing``: the file is gone.
    """
    match = _DECODED.search(result.stderr)
    if result.returncode or match is None:
        if not clip.path.exists():
            raise ClipError("probe", "missing", f"{clip.path} does not exist any more")
        raise ClipError("decode", "corrupt", f"{clip.path}: {explain(result)}")
    if "Reconfiguring filter graph" in result.stderr:
        # ffmpeg would rescale the rest to the first picture's size, and libvmaf would start anew.
        raise ClipError("decode", "format_change", f"{clip.path}: size or pixel format changes")
    _refuse_damage(clip, result)
    return DecodeEvidence(*(int(group) for group in match.groups()))


def _refuse_damage(clip: ClipInfo, result: ToolResult) -> None:
    """Refuse made-up pictures, and a damaged container that has no frame count to compare with.

    If it is in doubt where the clip ends, the damage may lie behind its end. Then only the doubt
    is reported.
    """
    damage = _DAMAGED_PICTURE.search(result.stderr)
    if clip.frames is None and is_end_known(clip.doubt):
        damage = damage or _DAMAGE.search(result.stderr)
    if damage:
        raise ClipError("decode", "corrupt", f"{clip.path}: {damage[1]}")


def check_complete(clip: ClipInfo, evidence: DecodeEvidence, first: int | None = None) -> int:
    """Compare the decoded frames with those that the container claims, and return their number.

    Args:
        clip: The clip.
        evidence: Decoded frames and errors.
        first: Number of frames that :func:`head_filters` let pass; None for all. A clip with that
            many frames is not read to its end, and more frames are not compared; the decoder may
            be a few frames ahead. A clip with fewer must be complete.

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
    discarded = edit_list_discards(clip.path, clip.stream_index)
    expected = clip.frames - discarded - dropped_frames(clip.path, clip.stream_index)
    if evidence.frames < expected:
        raise ClipError(
            "decode",
            "truncated",
            f"{clip.path}: {evidence.frames} frames decoded, the container claims {expected}",
        )
    return evidence.frames


def explain(result: ToolResult, lines: int = 3) -> str:
    """Return ffmpeg's exit status and first errors; the first ones name the cause."""
    errors = list(dict.fromkeys(_ERROR.findall(result.stderr)))
    text = " | ".join(errors[:lines]) or "no message"
    return f"ffmpeg exit status {result.returncode}: {text}"
