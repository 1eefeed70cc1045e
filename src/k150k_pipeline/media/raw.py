"""Raw 4:2:0 video in files without a name.

Such a file (``O_TMPFILE``) vanishes with this process, also after ``kill -9``. It lies in shared
memory if the whole clip fits, else in the scratch folder.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from k150k_pipeline.errors import ClipError, EngineError
from k150k_pipeline.media.ffmpeg import (
    check_complete,
    decode_arguments,
    head_filters,
    read_evidence,
    scored_pixel_format,
)
from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.media.tools import ToolResult, run_tool, tool_errors

SHARED_MEMORY = Path("/dev/shm")
_SHARED_MEMORY_RESERVE = 256 * 2**20

ToolRunner = Callable[..., ToolResult]
"""Called as ``run_tool(argv, timeout_s=…, pass_fds=…)``."""


@dataclass(frozen=True)
class RawVideo:
    """Decoded 4:2:0 frames in an unnamed file.

    Attributes:
        descriptor: Open file descriptor, which child processes inherit.
        width: Width in pixels.
        height: Height in pixels.
        bit_depth: 8, or 10 (two bytes per sample).
        frames: Number of frames in it.
    """

    descriptor: int
    width: int
    height: int
    bit_depth: int
    frames: int

    @property
    def path(self) -> str:
        """Path by which a child process that inherits the descriptor opens the file."""
        return descriptor_path(self.descriptor)

    @property
    def pix_fmt(self) -> str:
        """Pixel format in ffmpeg's names."""
        return "yuv420p" if self.bit_depth == 8 else "yuv420p10le"


@dataclass(frozen=True)
class RawDecoder:
    """Decodes clips to raw video.

    Attributes:
        ffmpeg: The binary.
        threads: Threads of the decoder.
        timeout_s: Wall-clock limit of one decoding, in seconds.
        scratch_dir: Folder of a clip that does not fit into shared memory.
        run: Function that runs the command.
    """

    ffmpeg: str
    threads: int
    timeout_s: float
    scratch_dir: Path
    run: ToolRunner = run_tool

    @contextmanager
    def decoded(
        self,
        clip: ClipInfo,
        width: int,
        height: int,
        filters: Sequence[str],
        first: int | None = None,
    ) -> Iterator[RawVideo]:
        """Decode a clip to an unnamed file.

        Args:
            clip: The clip.
            width: Width of a picture after the filters.
            height: Height of a picture after the filters.
            filters: Filters for every frame.
            first: Number of frames to decode, from the first on; None for all.

        Raises:
            ClipError: Stage ``decode``: the clip is not sound.
            EngineError: ffmpeg cannot be run, or the clip fits into neither folder.
        """
        depth = 8 if scored_pixel_format(clip) == "yuv420p" else 10
        size = frame_bytes(width, height, depth)
        most = min((n for n in (clip.frames, first) if n is not None), default=None)
        needed = None if most is None else most * size
        with unnamed_file(needed, self.scratch_dir) as descriptor:
            frames = self._decode(clip, descriptor, filters, first)
            if os.fstat(descriptor).st_size != frames * size:
                raise ClipError(
                    "decode",
                    "format_change",
                    f"{clip.path}: {frames} frames do not make {width}x{height} "
                    "pictures of one format",
                )
            yield RawVideo(descriptor, width, height, depth, frames)

    def _decode(
        self, clip: ClipInfo, descriptor: int, filters: Sequence[str], first: int | None
    ) -> int:
        chain = ",".join([*head_filters(first), *filters])
        command = [
            *decode_arguments(self.ffmpeg, clip, self.threads),
            "-map", f"0:{clip.stream_index}", *(["-vf", chain] if chain else []),
            "-fps_mode", "passthrough", "-pix_fmt", scored_pixel_format(clip),
            "-f", "rawvideo", "-y", descriptor_path(descriptor),
        ]  # fmt: skip
        with tool_errors("decode", clip.path, self.ffmpeg):
            result = self.run(command, timeout_s=self.timeout_s, pass_fds=(descriptor,))
        refuse_full_memory(result, clip.path.name, self.scratch_dir)
        return check_complete(clip, read_evidence(clip, result), first)


def frame_bytes(width: int, height: int, bit_depth: int) -> int:
    """Return the size of one 4:2:0 frame; odd sizes round chroma up."""
    chroma = ((width + 1) // 2) * ((height + 1) // 2)
    return (width * height + 2 * chroma) * (1 if bit_depth == 8 else 2)


def descriptor_path(descriptor: int) -> str:
    """Return the path by which a child process that inherits a descriptor opens its file."""
    return f"/proc/self/fd/{descriptor}"


@contextmanager
def unnamed_file(needed: int | None, scratch_dir: Path) -> Iterator[int]:
    """Yield the descriptor of an unnamed file.

    Args:
        needed: Number of bytes that it will hold; None if unknown.
        scratch_dir: Its folder if shared memory would be left with too little room.
    """
    with tempfile.TemporaryFile(dir=_roomy_folder(needed, scratch_dir)) as file:
        yield file.fileno()


def refuse_full_memory(result: ToolResult, clip: str, scratch_dir: Path) -> None:
    """Refuse a result that a full disk, not the clip, made fail.

    Raises:
        EngineError: The tool had no room to write.
    """
    if "No space left on device" in result.stderr:
        raise EngineError(
            f"there is no room to decode {clip}: neither {SHARED_MEMORY} nor vmaf.scratch_dir "
            f"{scratch_dir} can hold one clip per worker. Use fewer workers, or another "
            "vmaf.scratch_dir"
        )


def _roomy_folder(needed: int | None, scratch_dir: Path) -> Path:
    if needed is not None and SHARED_MEMORY.is_dir():
        room = shutil.disk_usage(SHARED_MEMORY).free - _SHARED_MEMORY_RESERVE
        if room > needed:
            return SHARED_MEMORY
    scratch_dir.mkdir(parents=True, exist_ok=True)
    return scratch_dir
