"""No sound file is refused, whatever its muxer states of durations, counts and sizes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from k150k_pipeline.media.ffmpeg import find_ffmpeg
from k150k_pipeline.media.integrity import decode_all
from k150k_pipeline.media.probe import probe

SOURCE = "testsrc2=s=128x96:r=30000/1001:d=0.8"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "6")
VP8 = ("-c:v", "libvpx", "-cpu-used", "8", "-deadline", "realtime", "-g", "6")

CODECS = {
    ".mp4": (X264, ("-c:a", "aac")),
    ".mov": (X264, ("-c:a", "aac")),
    ".mkv": (X264, ("-c:a", "aac")),
    ".webm": (VP8, ("-c:a", "libopus")),
    ".avi": (X264, ("-c:a", "mp3")),
    ".flv": (X264, ("-c:a", "aac")),
}

# name: what is done to 24 frames on their way, and how many come out
TIMINGS = {
    "variable": (("-vf", "select='lt(n,6)+not(mod(n,3))'", "-fps_mode", "vfr"), 12),
    "gap": (("-vf", "setpts='PTS+if(gt(N,12),2/TB,0)'", "-fps_mode", "vfr"), 24),
    "gap_before_the_last": (("-vf", "setpts='PTS+if(gt(N,22),2/TB,0)'", "-fps_mode", "vfr"), 24),
    "jitter": (("-vf", "setpts='PTS*(1+0.2*random(0))'", "-fps_mode", "passthrough"), 24),
    "late": (("-vf", "setpts=PTS+3/TB", "-fps_mode", "passthrough", "-copyts"), 24),
    "one_frame": (("-frames:v", "1"), 1),
}


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([find_ffmpeg(), "-nostdin", "-v", "error", "-y", *arguments], check=True)


def write(target: Path, *options: str, tone: float | None = None, source: str = SOURCE) -> Path:
    video, audio = CODECS[target.suffix]
    sound = () if tone is None else ("-f", "lavfi", "-i", f"sine=d={tone}")
    codecs = (*video, "-pix_fmt", "yuv420p", *(audio if sound else ()))
    ffmpeg("-f", "lavfi", "-i", source, *sound, *codecs, *options, target)
    return target


def frames(path: Path) -> int:
    clip = probe(path)
    assert not clip.doubt
    return decode_all(clip, 60.0)


@pytest.mark.sample(every=5)
@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("timing", TIMINGS)
def test_odd_timing(tmp_path, suffix, timing):
    options, expected = TIMINGS[timing]
    assert frames(write(tmp_path / f"a{suffix}", *options)) == expected


@pytest.mark.sample(every=5)
@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("tone", [0.2, 2.0])
def test_audio_of_another_length(tmp_path, suffix, tone):
    assert frames(write(tmp_path / f"a{suffix}", tone=tone)) == 24


@pytest.mark.sample(every=5)
@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("cut", [("-ss", "0.3"), ("-t", "0.4"), ("-copyts", "-ss", "0.3")])
def test_part_that_was_copied(tmp_path, suffix, cut):
    whole, part = write(tmp_path / f"a{suffix}", tone=0.8), tmp_path / f"b{suffix}"
    ffmpeg(*cut, "-i", whole, "-c", "copy", part)
    assert 0 < frames(part) <= 24


@pytest.mark.sample(every=3)
@pytest.mark.parametrize(
    ("codec", "suffixes"),
    [
        ("libx265", ".mp4 .mkv .flv"), ("libvpx-vp9", ".mp4 .webm .flv"),
        ("libsvtav1", ".mp4 .webm"),
        ("mpeg4", ".mp4 .avi .mkv"), ("mjpeg", ".mov .avi"), ("ffv1", ".mkv .avi"), ("flv", ".flv"),
        ("msmpeg4", ".avi"), ("mpeg2video", ".mkv .mp4"), ("libxvid", ".avi"), ("rawvideo", ".avi"),
        ("libtheora", ".mkv"), ("utvideo", ".avi"), ("flashsv2", ".flv"),
    ],
)  # fmt: skip
def test_codecs(tmp_path, codec, suffixes):
    for suffix in suffixes.split():
        path = tmp_path / f"a{suffix}"
        pix_fmt = {"mjpeg": "yuvj420p", "flashsv2": "bgr24"}.get(codec, "yuv420p")
        ffmpeg("-f", "lavfi", "-i", SOURCE, "-c:v", codec, "-pix_fmt", pix_fmt, path)
        assert frames(path) == 24, suffix


@pytest.mark.parametrize("seconds", ["0.4", "5"])
def test_stream_whose_duration_is_a_guess(tmp_path, seconds):
    """What is asked for stands in the header of a stream, however much then comes."""
    path = tmp_path / "a.webm"
    with path.open("wb") as file:
        command = [find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", SOURCE, *VP8]
        subprocess.run([*command, "-t", seconds, "-f", "webm", "pipe:1"], check=True, stdout=file)
    clip = probe(path)
    assert clip.duration_s == float(seconds) and clip.doubt
    assert decode_all(clip, 60.0) == min(24, round(float(seconds) * 30))


@pytest.mark.shared
def test_real_clips(shared):
    clips = [*(shared / "clips/k150ka_extracted").glob("*.mp4"), shared / "malformed/good.mp4"]
    assert len(clips) > 3
    for path in clips:
        clip = probe(path)
        assert (clip.doubt, decode_all(clip, 60.0)) == ("", clip.frames)
