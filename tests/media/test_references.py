"""A MOV whose media is in another file: the other file is never opened."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from k150k_pipeline.media.containers import open_arguments
from k150k_pipeline.media.ffmpeg import find_ffmpeg
from tests.support.waiting import HANG_GUARD_S

PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref")
PROBE = (
    "import sys; from pathlib import Path; from k150k_pipeline.media.probe import probe\n"
    "try:\n print(probe(Path(sys.argv[1])).codec)\n"
    "except Exception as error:\n print(type(error).__name__, error)\n"
)


def alias(target: Path) -> bytes:
    """Return the entry of a data reference as QuickTime writes it: by name, and by path."""
    name, path = target.name.encode()[:63], str(target).encode()
    path += b"\0" * (len(path) % 2)
    record = bytes(10) + bytes([3]) + b"vol".ljust(27, b"\0") + bytes(12)
    record += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    record += struct.pack(">hh", 1, 1) + bytes(16)
    for kind in (2, 18):
        record += struct.pack(">hH", kind, len(path)) + path
    record += struct.pack(">hH", -1, 0)
    return struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record


def url(target: Path) -> bytes:
    """Return the entry of a data reference as MP4 writes it: by address."""
    address = f"file://{target}".encode() + b"\0"
    return struct.pack(">I4sI", 12 + len(address), b"url ", 0) + address


def refer(clip: Path, entry: bytes) -> bytes:
    """Return a clip whose index comes last, with its media declared to be elsewhere."""
    data = bytearray(clip.read_bytes())
    assert data.index(b"mdat") < data.index(b"moov"), "the places of the media would move"
    at = data.index(b"url ", data.index(b"dref")) - 4
    own = int.from_bytes(data[at : at + 4], "big")
    data[at : at + own] = entry
    for box in PARENTS:
        start = data.index(box, data.index(b"moov")) - 4
        size = int.from_bytes(data[start : start + 4], "big") + len(entry) - own
        data[start : start + 4] = size.to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize("kind", [alias, url])
@pytest.mark.parametrize("target", ["pipe", "itself"])
def test_media_in_another_file_is_not_opened(make_clip, tmp_path, kind, target):
    """Whoever opens the pipe waits for ever: nobody writes to it."""
    pipe, path = tmp_path / "pipe.mov", tmp_path / "clip.mov"
    os.mkfifo(pipe)
    whole = make_clip(name="whole.mov")
    path.write_bytes(refer(whole, kind(pipe if target == "pipe" else path)))
    probed = subprocess.run(
        [sys.executable, "-c", PROBE, path], capture_output=True, text=True, timeout=HANG_GUARD_S
    )
    assert probed.stdout.startswith(("ClipError", "h264")), probed
    subprocess.run(
        [find_ffmpeg(), "-nostdin", "-v", "error", *open_arguments(path), "-f", "null", "-"],
        capture_output=True,
        timeout=HANG_GUARD_S,
    )


def test_such_a_file_is_followed_where_it_is_allowed(make_clip, tmp_path):
    """The files of this test do what they claim: ffmpeg follows them on request."""
    path, whole = tmp_path / "clip.mov", make_clip(name="whole.mov")
    path.write_bytes(refer(whole, alias(whole)))
    command = [find_ffmpeg(), "-nostdin", "-v", "verbose", "-enable_drefs", "1"]
    command += ["-use_absolute_path", "1", *open_arguments(path), "-f", "null", "-"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=HANG_GUARD_S)
    assert f"Opening 'file:{whole}' for reading" in run.stderr and run.returncode == 0
