"""Every container, cut in many places: what its bytes say, and what decoding says after that."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media.containers import examine
from k150k_pipeline.media.ffmpeg import find_ffmpeg
from k150k_pipeline.media.integrity import decode_all
from k150k_pipeline.media.probe import probe

FRAMES = 20
SOURCE = f"testsrc2=s=128x96:r=10:d={FRAMES / 10},noise=alls=20:allf=t"
TONE = ("-f", "lavfi", "-i", "sine=d=2")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "5")
VP8 = ("-c:v", "libvpx", "-cpu-used", "8", "-deadline", "realtime", "-g", "5", "-b:v", "300k")
FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"

WHOLE, TRUNCATED, UNKNOWN = "whole", "truncated", "unknown"

# name: output options, format if it goes through a pipe, what stands before the last part,
# what a cut just before that part is, what the sound file is
KINDS = {
    "index_last.mp4": (X264, None, b"moov", TRUNCATED, WHOLE),
    "index_first.mp4": ((*X264, "-movflags", "+faststart"), None, b"mdat", TRUNCATED, WHOLE),
    "plain.m4v": (X264, None, b"moov", TRUNCATED, WHOLE),
    "plain.mov": (X264, None, b"moov", TRUNCATED, WHOLE),
    "sound.mp4": ((*TONE, *X264, "-c:a", "aac"), None, b"moov", TRUNCATED, WHOLE),
    "fragments.mp4": ((*X264, "-movflags", FRAGMENTS), None, b"moof", UNKNOWN, WHOLE),
    "indexed_fragments.mp4": (
        (*X264, "-movflags", f"{FRAGMENTS}+global_sidx"), None, b"moof", TRUNCATED, WHOLE
    ),
    "endless_fragments.mp4": (
        (*X264, "-movflags", f"{FRAGMENTS}+skip_trailer"), None, b"moof", UNKNOWN, UNKNOWN
    ),
    "piped_fragments.mov": ((*X264, "-movflags", FRAGMENTS), "mov", b"moof", UNKNOWN, WHOLE),
    "plain.mkv": (X264, None, b"\x1f\x43\xb6\x75", TRUNCATED, WHOLE),
    "cues_first.mkv": ((*X264, "-cues_to_front", "1"), None, b"\x1f\x43\xb6\x75", TRUNCATED, WHOLE),
    "piped.mkv": (X264, "matroska", b"\x1f\x43\xb6\x75", UNKNOWN, UNKNOWN),
    "plain.webm": (VP8, None, b"\x1f\x43\xb6\x75", TRUNCATED, WHOLE),
    "live.webm": ((*VP8, "-live", "1"), None, b"\x1f\x43\xb6\x75", UNKNOWN, UNKNOWN),
    "plain.avi": (X264, None, b"00dc", TRUNCATED, WHOLE),
    "piped.avi": (X264, "avi", b"00dc", UNKNOWN, UNKNOWN),
    "plain.flv": (X264, None, None, TRUNCATED, WHOLE),
    "piped.flv": (X264, "flv", None, UNKNOWN, WHOLE),
    "bare.flv": (
        ("-c:v", "flv", "-g", "5", "-flvflags", "no_metadata"), None, None, UNKNOWN, UNKNOWN
    ),
    "bare.h264": (X264, None, None, UNKNOWN, UNKNOWN),
    "stream_named.mp4": ((*X264, "-f", "mpegts"), None, None, UNKNOWN, UNKNOWN),
}  # fmt: skip

SHARES = (0.1, 0.5, 0.9, 0.99)
ALWAYS_UNKNOWN = {"stream_named.mp4", "bare.h264"}


def make(target: Path, options: tuple[str, ...], piped_as: str | None, source=SOURCE) -> Path:
    command = [find_ffmpeg(), "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source]
    inputs = options[: len(TONE)] if options[: len(TONE)] == TONE else ()
    command += [*inputs, *("-pix_fmt", "yuv420p"), *options[len(inputs) :]]
    if piped_as:
        run = subprocess.run(
            [*command, "-f", piped_as, "pipe:1"], check=True, stdout=subprocess.PIPE
        )
        target.write_bytes(run.stdout)
    else:
        subprocess.run([*command, target], check=True)
    return target


@pytest.fixture(scope="module")
def sound_clips(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sound")
    return {name: make(folder / name, kind[0], kind[1]) for name, kind in KINDS.items()}


def boundary(body: bytes, marker: bytes | None, name: str) -> int:
    """Return where the last part of a file begins, or the last FLV tag that has a picture."""
    if marker is not None:
        return body.rindex(marker) - (4 if marker in (b"moov", b"mdat", b"moof") else 0)
    if not name.endswith(".flv"):
        return len(body) // 188 // 2 * 188
    starts, position = [], 13
    while position < len(body):
        starts.append(position)
        position += 11 + int.from_bytes(body[position + 1 : position + 4], "big") + 4
    return starts[-6]


def verdict(path: Path) -> str:
    found = examine(path)
    return TRUNCATED if found.missing else UNKNOWN if found.doubt else WHOLE


def outcome(path: Path) -> tuple[str, str]:
    """Return what probing and decoding make of a file, and whether its end is in doubt."""
    try:
        clip = probe(path)
        frames = decode_all(clip, 60.0)
    except ClipError as error:
        return error.reason, ""
    return f"{frames} frames", clip.doubt and UNKNOWN


@pytest.mark.sample(every=4)
@pytest.mark.parametrize("name", KINDS)
def test_sound(sound_clips, name):
    expected = KINDS[name][4]
    assert verdict(sound_clips[name]) == expected
    assert outcome(sound_clips[name]) == (f"{FRAMES} frames", expected.replace(WHOLE, ""))


@pytest.mark.parametrize("name", KINDS)
def test_cut_just_before_its_last_part(sound_clips, name, tmp_path):
    _, _, marker, expected, _ = KINDS[name]
    body = sound_clips[name].read_bytes()
    path = tmp_path / name
    path.write_bytes(body[: boundary(body, marker, name)])
    assert verdict(path) == expected
    result, doubt = outcome(path)
    if expected == UNKNOWN and name not in ALWAYS_UNKNOWN:
        assert doubt == UNKNOWN and result != f"{FRAMES} frames"
    else:
        assert result in (TRUNCATED, "corrupt") and not doubt


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", KINDS)
def test_cut_at_a_share(sound_clips, name, share, tmp_path):
    body = sound_clips[name].read_bytes()
    path = tmp_path / name
    path.write_bytes(body[: int(len(body) * share)])
    # Nine tenths of a file of many fragments may end in its list of fragments, none of them lost.
    in_list = b"mfra" in body[: int(len(body) * share) + 4]
    expected = UNKNOWN if name in ALWAYS_UNKNOWN or in_list else TRUNCATED
    assert verdict(path) == expected


@pytest.mark.parametrize("name", sorted(KINDS.keys() - ALWAYS_UNKNOWN))
def test_no_cut_passes_for_whole(sound_clips, name, tmp_path):
    body = sound_clips[name].read_bytes()
    path = tmp_path / name
    through = []
    for keep in range(len(body) - 1, 12, -max(1, len(body) // 150)):
        path.write_bytes(body[:keep])
        if verdict(path) == WHOLE and outcome(path) != (f"{FRAMES} frames", ""):
            through.append(keep)
    assert through == []


@pytest.mark.parametrize("name", ["plain.mkv", "plain.webm", "plain.flv", "plain.avi"])
@pytest.mark.parametrize("filler", [b"\0", b"\xff"], ids=["zeros", "ones"])
def test_frames_lost_in_the_middle_are_no_result(sound_clips, name, filler, tmp_path):
    body = bytearray(sound_clips[name].read_bytes())
    start = boundary(bytes(body), KINDS[name][2], name) - 3000
    body[start : start + 2500] = filler * 2500
    path = tmp_path / name
    path.write_bytes(body)
    assert outcome(path) == ("corrupt", "")


@pytest.mark.sample(every=5)
@pytest.mark.parametrize("tail", [b"\0" * 300, b"\xff" * 300], ids=["zeros", "ones"])
@pytest.mark.parametrize("name", [n for n in KINDS if n not in ALWAYS_UNKNOWN])
def test_what_follows_the_end_does_not_matter(sound_clips, name, tail, tmp_path):
    path = tmp_path / name
    path.write_bytes(sound_clips[name].read_bytes() + tail)
    expected = KINDS[name][4].replace(WHOLE, "")
    assert outcome(path) == (f"{FRAMES} frames", expected)
