"""Strategy ``stepwise``: decode, then per CRF encode, decode and score, each in a process.

It works with any ffmpeg. The backends ``cpu`` and ``cuda`` need it, as their binaries read raw
video. Raw video and encodes are in files without a name, in memory if they fit.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from k150k_pipeline.errors import ClipError
from k150k_pipeline.fr_from_nr.source import Source
from k150k_pipeline.fr_from_nr.sweep import (
    ScoredEncode,
    SweepIdentity,
    SweepSettings,
    check_counts,
    check_values,
    kept,
    try_out,
)
from k150k_pipeline.media.encode import EncodeEvidence, read_encodes
from k150k_pipeline.media.ffmpeg import explain, ffmpeg_version, find_ffmpeg
from k150k_pipeline.media.raw import (
    RawDecoder,
    RawVideo,
    ToolRunner,
    descriptor_path,
    frame_bytes,
    refuse_full_memory,
    unnamed_file,
)
from k150k_pipeline.media.tools import run_tool, tool_errors
from k150k_pipeline.vmaf.pairs import make_pair_scorer, raw_input


class Stepwise:
    """The procedure of the older script, without its scratch disk.

    ``encode_seconds`` is the wall-clock time of the encoding process, and ``score_seconds`` that
    of the scoring process. Neither includes decoding.
    """

    def __init__(
        self,
        settings: SweepSettings,
        decode: ToolRunner = run_tool,
        encode: ToolRunner = run_tool,
        score: ToolRunner = run_tool,
    ) -> None:
        self._settings = settings
        self._ffmpeg = find_ffmpeg(settings.vmaf.ffmpeg)
        self._run_decode, self._run_encode = decode, encode
        vmaf = settings.vmaf
        self._decoder = RawDecoder(
            self._ffmpeg, vmaf.threads, vmaf.clip_timeout_s, settings.scratch_dir, decode
        )
        self._scorer = make_pair_scorer(vmaf, score)

    def identify(self) -> SweepIdentity:
        """Try encoder and scorer out; see :class:`SweepStrategy`."""
        encode = self._settings.encode
        command = [
            self._ffmpeg, "-nostdin", "-hide_banner", "-v", "level+verbose",
            "-f", "lavfi", "-i", "testsrc2=size=256x256:rate=25:duration=0.08",
            *encode.arguments(self._settings.crf_sweep[0]), "-pix_fmt", "yuv420p",
            "-f", encode.muxer, "-",
        ]  # fmt: skip
        result = try_out(
            command,
            self._ffmpeg,
            f"cannot encode with {encode.encoder}",
            "Unset vmaf.ffmpeg to use the ffmpeg of the imageio-ffmpeg wheel",
        )
        version = encode.find_version(result)
        return SweepIdentity(self._scorer.identify(), ffmpeg_version(self._ffmpeg), version)

    def sweep(self, source: Source) -> list[ScoredEncode]:
        """Sweep a source step by step; see :class:`SweepStrategy`."""
        decoded = self._decoder.decoded(
            source.clip, source.width, source.height, source.picture_filters
        )
        with decoded as reference, kept(self._settings.yuv_path(source)) as yuv:
            if yuv is not None:
                _copy(reference.descriptor, yuv)
            return [self._score_at(source, reference, crf) for crf in self._settings.crf_sweep]

    def _score_at(self, source: Source, reference: RawVideo, crf: int) -> ScoredEncode:
        path = self._settings.encode_path(source, crf)
        size = reference.frames * frame_bytes(
            reference.width, reference.height, reference.bit_depth
        )
        with (
            unnamed_file(size, self._settings.scratch_dir) as stream,
            unnamed_file(size, self._settings.scratch_dir) as pictures,
        ):
            started = time.perf_counter()
            evidence = self._encode(source, reference, crf, stream)
            encoded = time.perf_counter()
            with kept(path) as part:
                if part is not None:
                    _copy(stream, part)
            distorted = self._decode(source, reference, stream, pictures)
            scoring = time.perf_counter()
            with _errors_with_path(source):
                values = self._scorer.score(reference, distorted)
            seconds = encoded - started, time.perf_counter() - scoring
        check_values(source, values)
        return ScoredEncode(crf, evidence, values, path, *seconds)

    def _encode(self, source: Source, reference: RawVideo, crf: int, stream: int) -> EncodeEvidence:
        rate = f"{source.rate.numerator}/{source.rate.denominator}"
        encode = self._settings.encode
        command = [
            self._ffmpeg, "-nostdin", "-hide_banner", "-nostats", "-v", "level+debug", "-xerror",
            *raw_input(reference, rate), "-map", "0:0", "-vf", source.tag_filter,
            *encode.arguments(crf), "-pix_fmt", source.pix_fmt,
            "-f", encode.muxer, "-y", descriptor_path(stream),
        ]  # fmt: skip
        with tool_errors("encode", source.clip.path, self._ffmpeg):
            result = self._run_encode(
                command,
                timeout_s=self._settings.vmaf.clip_timeout_s,
                pass_fds=(reference.descriptor, stream),
            )
        refuse_full_memory(result, source.clip.path.name, self._settings.scratch_dir)
        if result.returncode:
            raise ClipError("encode", "failed", f"{source.clip.path}: {explain(result)}")
        (evidence,) = read_encodes(result, [crf])
        check_counts(source, reference.frames, evidence)
        return evidence

    def _decode(self, source: Source, reference: RawVideo, stream: int, pictures: int) -> RawVideo:
        command = [
            self._ffmpeg, "-nostdin", "-hide_banner", "-nostats", "-v", "level+verbose",
            "-xerror", "-err_detect", "explode", "-threads", str(self._settings.vmaf.threads),
            "-f", self._settings.encode.muxer, "-i", descriptor_path(stream),
            "-map", "0:0", "-fps_mode", "passthrough", "-pix_fmt", source.pix_fmt,
            "-f", "rawvideo", "-y", descriptor_path(pictures),
        ]  # fmt: skip
        with tool_errors("decode", source.clip.path, self._ffmpeg):
            result = self._run_decode(
                command,
                timeout_s=self._settings.vmaf.clip_timeout_s,
                pass_fds=(stream, pictures),
            )
        refuse_full_memory(result, source.clip.path.name, self._settings.scratch_dir)
        if result.returncode:
            raise ClipError("encode", "undecodable", f"{source.clip.path}: {explain(result)}")
        size = frame_bytes(reference.width, reference.height, reference.bit_depth)
        frames = _size(pictures) / size
        if frames != reference.frames:
            raise ClipError(
                "encode",
                "frame_count",
                f"{source.clip.path}: {reference.frames} frames encoded, {frames:g} decoded again",
            )
        return RawVideo(
            pictures, reference.width, reference.height, reference.bit_depth, reference.frames
        )


@contextmanager
def _errors_with_path(source: Source) -> Iterator[None]:
    try:
        yield
    except ClipError as error:
        detail = f"{source.clip.path}: {error.detail}"
        raise ClipError(error.stage, error.reason, detail) from error


def _size(descriptor: int) -> int:
    return Path(descriptor_path(descriptor)).stat().st_size


def _copy(descriptor: int, path: Path) -> None:
    shutil.copyfile(descriptor_path(descriptor), path)
