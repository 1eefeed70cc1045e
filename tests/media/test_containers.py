"""What is opened as a clip: regular files in containers of their own media, and nothing else."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media.containers import check_container, examine, is_container
from k150k_pipeline.media.ffmpeg import decode_arguments, find_ffmpeg
from k150k_pipeline.media.ffprobe import ffprobe
from k150k_pipeline.media.integrity import decode_all
from k150k_pipeline.media.probe import ClipInfo, edit_list_discards, open_clip, probe
from k150k_pipeline.media.wholeness import MOST_PARTS, Wholeness

# A text that makes ffmpeg open other files, in all the ways it knows; {} is a clip's name.
TEXTS = {
    "ffconcat": "ffconcat version 1.0\nfile {}\nfile {}\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
    "<Period><AdaptationSet><Representation><BaseURL>{}</BaseURL></Representation>"
    "</AdaptationSet></Period></MPD>",
    "avs": 'FFVideoSource("{}")\n',
    "imf": '<?xml version="1.0"?><CompositionPlaylist xmlns="'
    'http://www.smpte-ra.org/schemas/2067-3/2016"></CompositionPlaylist>',
    "ffmetadata": ";FFMETADATA1\ntitle={}\n",
}
OTHERS = {
    "zip": b"PK\x03\x04" + b"\0" * 20,
    "png": b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
    "y4m": b"YUV4MPEG2 W2 H2 F25:1 C420\nFRAME\n" + b"\0" * 6,
    "a_word": b"nothing",
    "script": b"#!/bin/sh\necho clip\n",
    "zeros": b"\0" * 4096,
}


def refusal(path: Path) -> tuple[str, str]:
    with pytest.raises(ClipError) as caught:
        probe(path)
    assert str(path) in caught.value.detail
    return caught.value.stage, caught.value.reason


@pytest.mark.parametrize("kind", TEXTS)
def test_no_text_is_opened(make_clip, tmp_path, kind):
    other = make_clip(name="other.mp4")
    path = tmp_path / f"{kind}.mp4"
    path.write_text(TEXTS[kind].replace("{}", other.name))
    assert refusal(path) == ("probe", "not_media")
    assert not is_container(path.read_bytes())
    posing = ClipInfo(path, 0, 320, 240, "yuv420p", 8, False, None, "h264")
    with pytest.raises(ClipError, match="corrupt"):
        decode_all(posing, 60.0)
    if shutil.which("ffprobe"):
        with pytest.raises(ClipError, match="not_media"):
            ffprobe(Path("ffprobe"), path)


@pytest.mark.parametrize("kind", OTHERS)
def test_nothing_else_is_opened(tmp_path, kind):
    path = tmp_path / "a.mp4"
    path.write_bytes(OTHERS[kind])
    assert refusal(path) == ("probe", "not_media")
    assert not is_container(OTHERS[kind])


def test_a_list_of_itself_takes_no_descriptors(tmp_path):
    path = tmp_path / "self.mp4"
    path.write_text("ffconcat version 1.0\n" + "file self.mp4\n" * 1000)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert refusal(path) == ("probe", "not_media")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_text_in_a_container_is_not_followed(make_clip, tmp_path):
    """A playlist behind a clip's first box is a clip without an index, not a playlist."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0#EXTM3U\nhttp://192.0.2.1/a.mp4\n")
    assert refusal(path) == ("probe", "truncated")


def test_ffmpeg_and_pyav_open_files_alone(make_clip):
    clip = probe(make_clip())
    arguments = decode_arguments("ffmpeg", clip, threads=1)
    assert arguments[arguments.index("-protocol_whitelist") + 1] == "file"
    assert arguments.index("-format_whitelist") < arguments.index("-i")
    with open_clip(clip.path) as container:
        assert container.streams.video


class TestOnlyFiles:
    def test_fifo(self, tmp_path):
        path = tmp_path / "a.mp4"
        os.mkfifo(path)
        assert refusal(path) == ("probe", "not_a_file")
        with pytest.raises(ClipError, match="not_a_file"):
            ffprobe(Path("ffprobe"), path)

    def test_folder(self, tmp_path):
        path = tmp_path / "a.mp4"
        path.mkdir()
        assert refusal(path) == ("probe", "not_a_file")

    def test_socket(self, tmp_path):
        path = tmp_path / "a.mp4"
        with closing(socket.socket(socket.AF_UNIX)) as server:
            server.bind(str(path))
            assert refusal(path) == ("probe", "not_a_file")

    @pytest.mark.parametrize("device", ["/dev/zero", "/dev/full", "/dev/stdin"])
    def test_link_to_a_device(self, tmp_path, device):
        path = tmp_path / "a.mp4"
        path.symlink_to(device)
        if not path.is_file():
            assert refusal(path) == ("probe", "not_a_file")

    def test_link_to_nowhere(self, tmp_path):
        path = tmp_path / "a.mp4"
        path.symlink_to("nowhere.mp4")
        assert refusal(path) == ("probe", "missing")

    def test_link_to_itself(self, tmp_path):
        path = tmp_path / "a.mp4"
        path.symlink_to("a.mp4")
        assert refusal(path) == ("probe", "unreadable")

    def test_link_to_a_clip(self, make_clip, tmp_path):
        path = tmp_path / "link.mp4"
        path.symlink_to(make_clip())
        assert probe(path).frames == 9

    def test_huge_sparse_file(self, tmp_path):
        path = tmp_path / "a.mp4"
        with path.open("wb") as file:
            file.truncate(1 << 40)
        assert refusal(path) == ("probe", "not_media")


@pytest.mark.parametrize(
    "name",
    [
        "-i.mp4", "a:b.mp4", "http:a.mp4", "concat:a.mp4", "100%.mp4", "%d.mp4", "a\nb.mp4",
        "[a].mp4", "a,b;c#d.mp4", "a'b\"c.mp4", "a b.mp4", "äöü.mp4", "x" * 251 + ".mp4",
        "a?b=c.mp4",
        os.fsdecode(b"\xff\xfe.mp4"),
    ],
)  # fmt: skip
def test_names(make_clip, tmp_path, monkeypatch, name):
    make_clip().rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / name, Path(name)):
        clip = probe(path)
        assert decode_all(clip, 60.0) == clip.frames == 9
        assert edit_list_discards(path, 0) == 0


class TestAviFrames:
    """AVI has an empty chunk where a frame was dropped, and counts it."""

    def test_dropped_frames_do_not_count(self, make_clip):
        path = make_clip(
            *("-vf", "select='not(mod(n,3))'", "-fps_mode", "vfr"),
            source="testsrc2=s=128x96:r=10:d=2",
            name="a.avi",
        )
        clip = probe(path)
        assert clip.frames is not None and clip.frames > 7
        assert decode_all(clip, 60.0) == 7

    def test_lost_frames_do(self, make_clip):
        path = make_clip(source="testsrc2=s=128x96:r=10:d=2", name="a.avi")
        clip = probe(path)
        body = bytearray(path.read_bytes())
        at = body.index(b"00dc", body.rindex(b"movi") + 5)
        body[at : at + 2] = b"07"  # a chunk of a stream that is not there
        path.write_bytes(body)
        with pytest.raises(ClipError, match=r"truncated|corrupt"):
            decode_all(clip, 60.0)

    def test_count_that_a_stream_leaves_open(self, tmp_path):
        path = tmp_path / "a.avi"
        with path.open("wb") as file:
            subprocess.run(
                [find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=128x96:d=0.4",
                 "-c:v", "mpeg4", "-f", "avi", "pipe:1"],
                check=True, stdout=file,
            )  # fmt: skip
        clip = probe(path)
        assert clip.frames is None and clip.doubt
        assert decode_all(clip, 60.0) == 10


@pytest.mark.sample(every=3)
@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"\0\0\0\x08ftyp", b"\0\0\0\x08free"),
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff", b"\xec\x80"),
        (b"RIFF\0\0\0\0AVI LIST\0\0\0\0movi", b"00dc\0\0\0\0"),
        (b"FLV\1\5\0\0\0\x09\0\0\0\0", b"\x09" + b"\0" * 14),
    ],
    ids=["mp4", "matroska", "avi", "flv"],
)
def test_endless_parts_end_the_walk(tmp_path, head, part):
    path = tmp_path / "a.mp4"
    path.write_bytes(head + part * (MOST_PARTS + 1))
    assert examine(path) == Wholeness(doubt="it has too many parts to be walked through")


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("head", [b"\0\0\0\x14ftypisom", b"RIFF\0\0\0\0AVI ", b"OggS".ljust(12)])
def test_a_few_bytes(tmp_path, head, size):
    path = tmp_path / "a.mp4"
    path.write_bytes(head[:size])
    with pytest.raises(ClipError, match="truncated"):
        check_container(path)
