from __future__ import annotations

import hashlib
import json

import pytest

from k150k_pipeline.errors import InputError
from k150k_pipeline.pipelines.sidecar_join import read_sidecar
from k150k_pipeline.schemas.sidecar import split_of


def write(tmp_path, *rows):
    path = tmp_path / "sidecar.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_chug_names_and_split_policy(tmp_path):
    row = {
        "src": "clips/a#1.mp4",
        "mos_raw_0_100": 55.5,
        "chug_content_name": "beach",
        "chug_bitladder": "360p_0.2M_",
        "chug_ref": 1,
    }
    read = read_sidecar(write(tmp_path, row))["a#1.mp4"]
    assert (read.content_id, read.bitrate_ladder_id) == ("beach", "360p_0.2M_")
    assert read.split == split_of("beach")
    assert read.chug_split_policy == "content-name-blake2s-80-10-10"


def test_given_split_wins(tmp_path):
    row = {"filename": "a.mp4", "content_id": "beach", "split": "holdout"}
    assert read_sidecar(write(tmp_path, row))["a.mp4"].split == "holdout"


def test_split_follows_the_documented_hash():
    names = [f"content{i}" for i in range(2000)]
    for name in names[:50]:
        key = b"chug-hdr-v1\0" + name.encode()
        fraction = int(hashlib.blake2s(key, digest_size=8).hexdigest(), 16) / 2**64
        expected = "train" if fraction < 0.8 else "val" if fraction < 0.9 else "test"
        assert split_of(name) == expected
    assert 0.77 < sum(split_of(n) == "train" for n in names) / 2000 < 0.83


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"content_id": "x"}], "line 1: the row has neither src nor filename"),
        ([{"src": "a", "mos_raw_0_100": 101}], "line 1"),
        ([{"src": "a", "split": "x"}, {"src": "b/a", "split": "y"}], "line 2: a has a row above"),
        ([["a"]], "line 1"),
    ],
)
def test_bad_rows_name_their_line(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read_sidecar(write(tmp_path, *rows))


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nope.jsonl: No such file"):
        read_sidecar(tmp_path / "nope.jsonl")
