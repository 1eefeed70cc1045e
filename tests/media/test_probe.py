from __future__ import annotations

import subprocess

import pytest

from k150k_pipeline.media.ffmpeg import conversion_filters, find_ffmpeg, scored_pixel_format
from k150k_pipeline.media.probe import edit_list_discards, probe
from k150k_pipeline.vmaf.plans import unmeasurable_features


def test_facts_of_a_clip(make_clip):
    clip = probe(make_clip())
    assert (clip.width, clip.height, clip.frames, clip.codec) == (320, 240, 9, "h264")
    assert (clip.pix_fmt, clip.bit_depth, clip.full_range) == ("yuv420p", 8, False)


def test_cover_art_is_not_the_video(make_clip, tmp_path):
    video = make_clip()
    cover = make_clip("-frames:v", "1", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", name="c.jpg")
    path = tmp_path / "covered.mp4"
    command = [find_ffmpeg(), "-i", cover, "-i", video, "-map", "0", "-map", "1"]
    subprocess.run([*command, "-c", "copy", "-disposition:v:0", "attached_pic", path], check=True)
    clip = probe(path)
    assert clip.codec == "h264" and clip.frames == 9


def test_container_without_a_frame_count(make_clip):
    assert probe(make_clip(name="clip.mkv")).frames is None


def test_edit_list_discards_are_counted(make_clip, tmp_path):
    whole = make_clip("-g", "30", source="testsrc2=s=320x240:r=30:d=1")
    cut = tmp_path / "cut.mp4"
    subprocess.run([find_ffmpeg(), "-ss", "0.5", "-i", whole, "-c", "copy", cut], check=True)
    assert edit_list_discards(whole, 0) == 0
    assert edit_list_discards(cut, 0) > 0


@pytest.mark.parametrize(
    ("pix_fmt", "scored", "converted"),
    [
        ("yuv420p", "yuv420p", False),
        ("yuv420p10le", "yuv420p10le", False),
        ("yuv422p", "yuv420p", True),
        ("yuv444p10le", "yuv420p10le", True),
        ("yuv410p", "yuv420p", True),
        ("gray", "yuv420p", True),
        ("yuv420p12le", "yuv420p10le", True),
    ],
)
def test_nearest_scored_format(make_clip, pix_fmt, scored, converted):
    clip = probe(make_clip("-c:v", "ffv1", "-pix_fmt", pix_fmt, name="clip.mkv"))
    assert clip.pix_fmt == pix_fmt
    assert scored_pixel_format(clip) == scored
    assert bool(conversion_filters(clip)) is converted


@pytest.mark.parametrize(
    ("size", "missing"),
    [
        ("960x540", ()),
        ("176x216", ()),
        ("216x176", ()),
        ("175x300", ("float_ms_ssim",)),
        ("215x215", ("cambi",)),
        ("64x64", ("float_ms_ssim", "cambi")),
    ],
)
def test_what_cannot_be_measured_on_small_clips(make_clip, size, missing):
    path = make_clip(
        "-c:v", "ffv1", "-pix_fmt", "yuv420p", source=f"testsrc2=s={size}:d=0.04", name="c.mkv"
    )
    assert unmeasurable_features(probe(path)) == missing
