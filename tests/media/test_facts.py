"""What ingest makes of sound, odd and broken files, by header and by decoding."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media import facts
from k150k_pipeline.media.containers import examine
from k150k_pipeline.media.facts import ClipFacts, read_facts
from k150k_pipeline.media.probe import probe
from tests.support.waiting import HANG_GUARD_S

NOT_MEDIA = ("probe", "not_media")
TRUNCATED = ("probe", "truncated")
CORRUPT = ("decode", "corrupt")
SOUND = None

# file: what its header says, what decoding says, what ffprobe says
MALFORMED = {
    "audio_only": (("probe", "no_video"),) * 3,
    "bitflip": (SOUND, CORRUPT, SOUND),
    "chunk_out_of_range": (NOT_MEDIA,) * 3,
    "empty": (NOT_MEDIA,) * 3,
    "fs_trunc_50": (TRUNCATED,) * 3,
    "good": (SOUND,) * 3,
    "html": (NOT_MEDIA,) * 3,
    "invalid_userdata": (TRUNCATED,) * 3,
    "metadata": (SOUND,) * 3,
    "no_timescale": (SOUND, CORRUPT, SOUND),
    "odd444": (SOUND,) * 3,
    "one_frame": (SOUND,) * 3,
    "trunc_50": (TRUNCATED,) * 3,
    "trunc_99": (TRUNCATED,) * 3,
    "video_rotation_90": (SOUND,) * 3,
    "zero_empty_stsc": (TRUNCATED,) * 3,
    "zeroblock": (SOUND, CORRUPT, SOUND),
    "zeros": (NOT_MEDIA,) * 3,
}


def verdict(path, **how):
    try:
        read_facts(path, **how)
    except ClipError as error:
        assert error.detail
        return error.stage, error.reason
    return SOUND


@pytest.mark.shared
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_file(shared, name):
    path = shared / "malformed" / f"{name}.mp4"
    by_header, by_decoding, by_ffprobe = MALFORMED[name]
    assert verdict(path) == by_header
    assert verdict(path, decode_timeout_s=HANG_GUARD_S) == by_decoding
    if shutil.which("ffprobe"):
        assert verdict(path, ffprobe_binary=Path("ffprobe")) == by_ffprobe


@pytest.mark.shared
def test_every_malformed_file_is_in_the_table(shared):
    assert {path.stem for path in (shared / "malformed").glob("*.mp4")} == set(MALFORMED)


def test_facts_of_a_sound_clip(make_clip):
    path = make_clip(source="testsrc2=s=320x240:r=30000/1001:d=1", name="a.mp4")
    facts = read_facts(path, decode_timeout_s=HANG_GUARD_S)
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (facts.size, facts.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert (facts.width, facts.height, facts.pix_fmt, facts.codec) == (320, 240, "yuv420p", "h264")
    assert facts.framerate == 30000 / 1001
    assert facts.duration_s == pytest.approx(30 * 1001 / 30000, abs=1e-4)
    assert ClipFacts.from_payload(facts.as_payload()) == facts


@pytest.mark.parametrize(
    ("codec", "name"), [("libvpx-vp9", "vp9"), ("libsvtav1", "av1"), ("libx265", "hevc")]
)
def test_codec_is_that_of_the_stream_not_of_the_decoder(make_clip, codec, name):
    path = make_clip("-c:v", codec, name="a.mp4")
    assert read_facts(path).codec == name


@pytest.mark.parametrize("flags", ["+faststart", "+frag_keyframe+empty_moov"])
def test_any_cut_of_a_file_is_seen_without_decoding(make_clip, flags):
    whole = make_clip("-movflags", flags, name="whole.mp4").read_bytes()
    path = make_clip(name="cut.mp4")
    path.write_bytes(whole)
    assert not examine(path).missing
    seen = 0
    for keep in range(len(whole) - 1, 40, -max(1, len(whole) // 97)):
        path.write_bytes(whole[:keep])
        seen += bool(examine(path).missing)
        assert verdict(path, decode_timeout_s=HANG_GUARD_S) is not SOUND, f"first {keep} bytes"
    assert seen >= 90


@pytest.mark.parametrize("name", ["a.webm", "a.mkv"])
def test_other_containers_are_not_judged_by_boxes(make_clip, name):
    path = make_clip("-c:v", "libvpx-vp9", name=name)
    assert not examine(path).missing and verdict(path) is SOUND


def test_what_follows_the_last_box_does_not_matter(make_clip):
    path = make_clip()
    path.write_bytes(path.read_bytes() + b"\0" * 100)
    assert not examine(path).missing and verdict(path) is SOUND


def test_a_file_that_is_not_there(tmp_path):
    assert verdict(tmp_path / "a.mp4") == ("probe", "missing")


def test_a_file_that_vanishes_while_it_is_probed(make_clip, monkeypatch):
    def probe_and_remove(path):
        found = probe(path)
        path.unlink()
        return found

    monkeypatch.setattr(facts, "probe", probe_and_remove)
    with pytest.raises(ClipError, match="probe: unreadable"):
        read_facts(make_clip())
