"""Files that no muxer at hand writes, made by changing single fields: what they state counts."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media.containers import examine
from k150k_pipeline.media.integrity import decode_all
from k150k_pipeline.media.probe import probe
from tests.conftest import encode

SOURCE = "testsrc2=s=128x96:r=10:d=2"
GOP = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "5", "-pix_fmt", "yuv420p")
FRAGMENTS = ("-movflags", "frag_keyframe+empty_moov+default_base_moof+skip_trailer")


@pytest.fixture(scope="module")
def fragments(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("made") / "a.mp4"
    return encode(path, SOURCE, *GOP, *FRAGMENTS).read_bytes()


@pytest.fixture(scope="module")
def index_first(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("made") / "a.mp4"
    return encode(path, SOURCE, *GOP, "-movflags", "+faststart").read_bytes()


@pytest.fixture(scope="module")
def avi(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("made") / "a.avi"
    return encode(path, SOURCE, *GOP).read_bytes()


@pytest.fixture(scope="module")
def flv(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("made") / "a.flv"
    return encode(path, SOURCE, *GOP).read_bytes()


@pytest.fixture(scope="module")
def mkv(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("made") / "a.mkv"
    return encode(path, SOURCE, *GOP).read_bytes()


def look(tmp_path: Path, body: bytes) -> str:
    path = tmp_path / "a.mp4"
    path.write_bytes(body)
    found = examine(path)
    return "truncated" if found.missing else "unknown" if found.doubt else "whole"


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def grow(body: bytes, path: list[bytes], added: bytes) -> bytes:
    """Put a box into the first box at a path."""
    grown, position = bytearray(body), 0
    for kind in path:
        position = grown.index(kind, position)
        (size,) = struct.unpack_from(">I", grown, position - 4)
        struct.pack_into(">I", grown, position - 4, size + len(added))
        position += 4
    grown[position:position] = added
    return bytes(grown)


def with_mehd(fragments: bytes, seconds: float, *, wide: bool = False) -> bytes:
    (timescale,) = struct.unpack_from(">I", fragments, fragments.index(b"mvhd") + 16)
    duration = struct.pack(">IQ" if wide else ">II", wide << 24, round(seconds * timescale))
    return grow(fragments, [b"moov", b"mvex"], box(b"mehd", duration))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, "unknown"), (1.0, "whole"), (2.0, "whole"), (2.05, "whole"), (2.2, "unknown"),
     (2.5, "truncated"), (60.0, "truncated")],
)  # fmt: skip
@pytest.mark.parametrize("wide", [False, True])
def test_duration_of_all_fragments(tmp_path, fragments, seconds, expected, wide):
    body = with_mehd(fragments, seconds, wide=wide)
    assert look(tmp_path, body) == expected


def test_duration_of_all_fragments_and_a_cut(tmp_path, fragments):
    body = with_mehd(fragments, 2.0)
    assert look(tmp_path, body) == "whole"
    assert look(tmp_path, body[: body.rindex(b"moof") - 4]) == "truncated"


def test_an_edit_list_may_make_it_longer(tmp_path, fragments):
    waits = box(b"edts", box(b"elst", struct.pack(">IIIiI", 0, 1, 60_000, -1, 1 << 16)))
    body = grow(with_mehd(fragments, 60.0), [b"moov", b"trak"], waits)
    assert look(tmp_path, body) == "unknown"


@pytest.mark.parametrize("damaged", [b"moof", b"traf", b"trun", b"tfhd"])
def test_part_of_a_fragment_that_would_be_skipped(tmp_path, fragments, damaged):
    """ffmpeg would decode 15 of 20 frames without a message."""
    body = with_mehd(fragments, 2.0)
    at = body.index(damaged, body.index(b"moof"))
    assert look(tmp_path, body[:at] + b"\x7fxyz" + body[at + 4 :]) in ("unknown", "truncated")


@pytest.mark.parametrize("size", [b"\0\0\0\1", b"\0\0\xff\xff"])
def test_head_of_a_fragment_with_a_wrong_size_inside(tmp_path, fragments, size):
    body = with_mehd(fragments, 2.0)
    at = body.index(b"traf") - 4
    assert look(tmp_path, body[:at] + size + body[at + 4 :]) in ("unknown", "truncated")


@pytest.mark.parametrize("count", [6, 0xFFFFFFFF])
def test_run_of_more_samples_than_it_holds(tmp_path, fragments, count):
    body = bytearray(with_mehd(fragments, 2.0))
    struct.pack_into(">I", body, body.index(b"trun") + 8, count)
    assert look(tmp_path, bytes(body)) in ("unknown", "truncated")


def test_unknown_box_after_the_last_fragment(tmp_path, fragments):
    assert look(tmp_path, with_mehd(fragments, 2.0) + box(b"\x7fxyz", b"")) == "whole"


def test_fragment_without_its_media(tmp_path, fragments):
    assert look(tmp_path, fragments[: fragments.rindex(b"mdat") - 4]) == "truncated"


@pytest.mark.parametrize(
    ("box_name", "damage"),
    [(b"tfhd", b"\xff" * 8), (b"trun", b"\xff" * 8), (b"mdhd", b"\xff" * 4), (b"mvhd", b"\xff")],
)
def test_damaged_fragment_heads_are_no_traceback(tmp_path, fragments, box_name, damage):
    body = bytearray(with_mehd(fragments, 2.0))
    at = body.index(box_name) + 4
    body[at : at + len(damage)] = damage
    assert look(tmp_path, bytes(body)) in ("unknown", "truncated", "whole")


def open_ended(index_first: bytes) -> bytes:
    """Return a file whose media reach "to the end", as a size of 0 means."""
    body = bytearray(index_first)
    at = body.index(b"mdat")
    body[at - 4 : at] = b"\0" * 4
    return bytes(body)


@pytest.mark.parametrize("lost", [1, 100, 1000, 2000])
def test_media_without_a_size(tmp_path, index_first, lost):
    body = open_ended(index_first)
    assert look(tmp_path, body) == "whole"
    assert probe(tmp_path / "a.mp4").frames == 20
    assert look(tmp_path, body[:-lost]) == "truncated"


def test_cut_between_two_boxes_of_media(tmp_path, index_first):
    at = index_first.index(b"mdat")
    media = index_first[at + 4 :]
    half = len(media) // 2
    # The second header takes the place of eight bytes of media: only sizes are looked at here.
    parts = box(b"mdat", media[:half]), box(b"mdat", media[half + 8 :])
    body = index_first[: at - 4] + parts[0] + parts[1]
    assert look(tmp_path, body) == "whole"
    assert look(tmp_path, body[: -len(parts[1])]) == "truncated"


@pytest.mark.parametrize("table", [b"stco", b"stsc", b"stsz"])
@pytest.mark.parametrize("filler", [b"\xff", b"\0"])
def test_damaged_tables_are_no_traceback(tmp_path, index_first, table, filler):
    body = bytearray(open_ended(index_first))
    at = body.index(table) + 4
    (size,) = struct.unpack_from(">I", body, at - 8)
    body[at : at + size - 8] = filler * (size - 8)
    assert look(tmp_path, bytes(body)) in ("whole", "truncated")


class TestAvi:
    def test_index_of_a_part_that_is_gone(self, tmp_path, avi):
        """An AVI of several gigabytes, cut before its second part: its first part is whole."""
        body, at = bytearray(avi), avi.index(b"JUNK")  # where ffmpeg has room for it
        body[at : at + 4] = b"indx"
        struct.pack_into("<HBBI4s12x", body, at + 8, 4, 0, 0, 2, b"00dc")
        struct.pack_into("<QII", body, at + 32, 5000, 100, 20)
        assert look(tmp_path, bytes(body)) == "whole"
        struct.pack_into("<QII", body, at + 48, 1 << 30, 4096, 20)
        assert look(tmp_path, bytes(body)) == "truncated"

    @pytest.mark.parametrize("off", [1, 8])
    def test_size_that_counts_its_own_header(self, tmp_path, avi, off):
        body = bytearray(avi)
        struct.pack_into("<I", body, 4, len(avi) - 8 + off)
        assert look(tmp_path, bytes(body)) == "whole"
        assert look(tmp_path, bytes(body[:-off])) == "truncated"

    @pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
    def test_size_left_open(self, tmp_path, avi, size):
        body = bytearray(avi)
        struct.pack_into("<I", body, 4, size)
        assert look(tmp_path, bytes(body)) == "whole"
        assert look(tmp_path, bytes(body[: body.rindex(b"idx1")])) == "unknown"


class TestFlv:
    def state(self, flv: bytes, key: bytes, value: float) -> bytes:
        at = flv.index(key) + len(key) + 1
        return flv[:at] + struct.pack(">d", value) + flv[at + 8 :]

    @pytest.mark.parametrize(
        ("more", "seconds", "expected"),
        [(0, 99.0, "whole"), (-20, 99.0, "whole"), (500, 2.0, "unknown"), (500, 9.0, "truncated")],
    )
    def test_size_and_duration(self, tmp_path, flv, more, seconds, expected):
        """A size alone may be another tool's; a size and a duration are not reached by chance."""
        body = self.state(flv, b"filesize", len(flv) + more)
        assert look(tmp_path, self.state(body, b"duration", seconds)) == expected

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
    def test_numbers_that_are_none(self, tmp_path, flv, value):
        assert look(tmp_path, self.state(flv, b"filesize", value)) in ("whole", "unknown")


class TestMatroska:
    @pytest.mark.parametrize("size", [b"\x01" + b"\xff" * 7, b"\x01" + b"\0" * 7])
    def test_segment_without_a_size(self, tmp_path, mkv, size):
        """Cues after the last cluster are what a finished file has."""
        at = mkv.index(b"\x18\x53\x80\x67") + 4
        body = mkv[:at] + size + mkv[at + 8 :]
        assert look(tmp_path, body) == "whole"
        assert look(tmp_path, body[:-1]) == "truncated"
        assert look(tmp_path, body[: body.rindex(b"\x1c\x53\xbb\x6b")]) == "unknown"

    def test_clusters_without_a_size(self, tmp_path, mkv):
        body = mkv[: mkv.rindex(b"\x1c\x53\xbb\x6b")]
        at = body.index(b"\x18\x53\x80\x67") + 4
        body = bytearray(body[:at] + b"\x01" + b"\xff" * 7 + body[at + 8 :])
        at = 0
        while (at := body.find(b"\x1f\x43\xb6\x75", at + 1)) > 0:
            length = 9 - body[at + 4].bit_length()
            body[at + 4 : at + 4 + length] = [(1 << 8 - length) | (1 << 8 - length) - 1] + [255] * (
                length - 1
            )
        assert look(tmp_path, bytes(body)) == "unknown"
        assert look(tmp_path, bytes(body[:-1])) == "truncated"

    @pytest.mark.parametrize("damaged", [b"\x1f\x43\xb6\x75", b"\xa3\x40\x80"])
    def test_element_that_would_be_skipped(self, tmp_path, mkv, damaged):
        """ffmpeg skips a Cluster or a Block of an unknown kind without a message."""
        at = mkv.index(b"\xa3", mkv.index(b"\x1f\x43\xb6\x75"))
        at = mkv.index(damaged) if damaged in mkv else at
        body = bytearray(mkv)
        body[at] ^= 1
        path = tmp_path / "a.mkv"
        path.write_bytes(body)
        found = examine(path)
        assert not found.missing and "may be skipped" in found.doubt

    def test_block_of_no_track_is_corrupt(self, tmp_path, mkv):
        """ffmpeg reports it and drops the rest of the Cluster, with exit status 0."""
        at = mkv.index(b"\xa3", mkv.index(b"\x1f\x43\xb6\x75"))
        body = bytearray(mkv)
        body[at + 1 + 9 - body[at + 1].bit_length()] = 0x7F
        path = tmp_path / "a.mkv"
        path.write_bytes(body)
        with pytest.raises(ClipError) as caught:
            decode_all(probe(path), 60.0)
        assert caught.value.reason == "corrupt"

    @pytest.mark.parametrize("header", [b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3" + b"\x01" * 60])
    def test_no_matroska_at_all(self, tmp_path, header):
        assert look(tmp_path, header.ljust(100, b"\0")) == "unknown"

    @pytest.mark.parametrize("length", [b"\x01" + b"\x7f" * 7, b"\x01\xff" + b"\x00" * 6])
    def test_a_gap_beyond_any_file(self, tmp_path, mkv, length):
        at = mkv.index(b"\x18\x53\x80\x67")
        assert look(tmp_path, mkv[:at] + b"\xec" + length + mkv[at:]) == "unknown"
