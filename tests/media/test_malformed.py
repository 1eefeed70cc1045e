"""Every broken file is a typed failure with a reason; none hangs, crashes or passes for whole."""

from __future__ import annotations

import pytest

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media.integrity import decode_all
from k150k_pipeline.media.probe import probe
from k150k_pipeline.vmaf.plans import IDENTITY, refuse_small

REASONS = {
    "audio_only": ("probe", "no_video"),
    "bitflip": ("decode", "corrupt"),
    "chunk_out_of_range": ("probe", "not_media"),
    "empty": ("probe", "not_media"),
    "fs_trunc_50": ("probe", "truncated"),
    "good": None,
    "html": ("probe", "not_media"),
    "invalid_userdata": ("probe", "truncated"),
    "metadata": None,
    "no_timescale": ("decode", "corrupt"),
    "odd444": ("probe", "too_small"),
    "one_frame": ("probe", "too_small"),
    "trunc_50": ("probe", "truncated"),
    "trunc_99": ("probe", "truncated"),
    "video_rotation_90": ("probe", "too_small"),
    "zero_empty_stsc": ("probe", "truncated"),
    "zeroblock": ("decode", "corrupt"),
    "zeros": ("probe", "not_media"),
}


@pytest.mark.shared
@pytest.mark.parametrize("name", REASONS)
def test_malformed_file(engine, shared, name):
    outcome = None
    try:
        clip = probe(shared / "malformed" / f"{name}.mp4")
        refuse_small(clip)
        engine.score(clip, IDENTITY)
    except ClipError as error:
        outcome = (error.stage, error.reason)
    assert outcome == REASONS[name]


@pytest.mark.shared
def test_every_malformed_file_is_in_the_table(shared):
    assert {path.stem for path in (shared / "malformed").glob("*.mp4")} == set(REASONS)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "not_media"), (b"<html>not found</html>", "not_media"), (b"\0" * 4096, "not_media")],
)
def test_what_is_no_media(tmp_path, content, reason):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(ClipError) as caught:
        probe(path)
    assert (caught.value.stage, caught.value.reason) == ("probe", reason)
    assert str(path) in caught.value.detail


def test_missing_file(tmp_path):
    with pytest.raises(ClipError) as caught:
        probe(tmp_path / "nope.mp4")
    assert caught.value.reason == "missing"


def test_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(ClipError):
        probe(tmp_path)


@pytest.mark.parametrize("position", [0.3, 0.6, 0.9])
def test_flipped_bytes_in_the_middle(engine, make_clip, tmp_path, position):
    path = make_clip(
        *("-c:v", "libx264", "-preset", "veryfast", "-movflags", "+faststart"),
        source="testsrc2=s=480x270:r=30:d=2,noise=alls=20:allf=t",
    )
    content = bytearray(path.read_bytes())
    start = int(len(content) * position)
    content[start : start + 400] = b"\xff" * 400
    path.write_bytes(content)
    with pytest.raises(ClipError) as caught:
        engine.score(probe(path), IDENTITY)
    assert caught.value.stage == "decode"


def test_decoder_that_makes_something_up(make_clip):
    """ffmpeg's HEVC decoder reports an error, counts none and goes on."""
    options = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error")
    path = make_clip(*options, source="testsrc2=s=256x256:r=10:d=2,noise=alls=10:allf=t")
    content, reported = path.read_bytes(), []
    for start in range(len(content) // 5, len(content) * 4 // 5, 701):
        path.write_bytes(content[:start] + b"\xff" * 64 + content[start + 64 :])
        try:
            decode_all(probe(path), 60.0)
        except ClipError as error:
            assert error.reason == "corrupt"
            reported.append("CABAC_MAX_BIN" in error.detail)
    assert any(reported)


def test_clip_that_goes_between_probing_and_decoding(make_clip, engine):
    clip = probe(make_clip())
    clip.path.unlink()
    with pytest.raises(ClipError) as caught:
        engine.score(clip, IDENTITY)
    assert (caught.value.stage, caught.value.reason) == ("probe", "missing")
