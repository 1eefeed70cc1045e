"""The table of extra columns takes the place of its own kind only."""

from __future__ import annotations

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from k150k_pipeline.datasets import ExtraColumnsDataset
from k150k_pipeline.pipelines.feature_extraction.describing import extra_table
from k150k_pipeline.schemas.parameters import ExtractParameters
from tests.support.older_script import hashes, newer_row

NAMES = ["a.mp4", "b.mp4"]
FACTS = {"a.mp4": {"fps": 25.0, "is_hdr": False}}


@pytest.fixture
def extra(tmp_path):
    dataset = ExtraColumnsDataset(filepath=str(tmp_path / "features.parquet"))
    dataset.original = dataset.path.with_name("features.extra.parquet.original")
    return dataset


def ours(*columns: str) -> pa.Table:
    block = ExtractParameters(extra_columns=columns or ("fps", "is_hdr"))
    return extra_table(NAMES, FACTS, block)


def redescribed(description: bytes) -> pa.Table:
    return ours().replace_schema_metadata({b"k150k": description})


FOREIGN = {
    "no parquet": b"my notes",
    "empty": b"",
    "parquet of others": pa.table({"clip_name": ["a.mp4"], "fps": [50.0]}),
    "57 columns": pa.Table.from_pandas(pd.DataFrame([newer_row("a.mp4")])),
    "further column": ours().append_column("note", pa.array(["x", "y"])),
    "column twice": ours().append_column("fps", pa.array([1.0, 2.0])),
    "without names": ours().drop_columns("clip_name"),
    "later version": redescribed(b'{"extra_columns": 2}'),
    "features": redescribed(b'{"schema_version": 1, "rows_scored_with": {}}'),
    "true": redescribed(b'{"extra_columns": true}'),
    "a list": redescribed(b"[]"),
    "no JSON": redescribed(b"\xff"),
    "deep JSON": redescribed(b"[" * 100_000),
}


@pytest.mark.parametrize("content", list(FOREIGN.values()), ids=list(FOREIGN))
def test_a_file_that_is_not_ours_is_kept(extra, content, caplog):
    if isinstance(content, bytes):
        extra.path.write_bytes(content)
    else:
        pq.write_table(content, extra.path)
    foreign = extra.path.read_bytes()
    for _ in range(2):
        extra.save(ours())
    assert extra.original.read_bytes() == foreign
    assert pq.read_table(extra.path).equals(ours())
    (warning,) = caplog.messages
    assert f"{extra.path} is kept as {extra.original.name} and replaced" == warning


def test_our_own_is_replaced_whatever_its_columns_are(extra):
    for columns in (("fps",), ("is_hdr", "fps"), ("is_hdr",)):
        extra.save(ours(*columns))
        assert [path.name for path in extra.path.parent.iterdir()] == [extra.path.name]
    assert json.loads(pq.read_schema(extra.path).metadata[b"k150k"])["extra_columns"] == 1


def test_no_name_of_a_kept_file_is_taken_twice(extra):
    for number in range(3):
        extra.path.unlink(missing_ok=True)
        pd.DataFrame({"number": [number]}).to_parquet(extra.path)
        foreign = hashes(extra.path.parent)
        extra.save(ours())
        assert foreign <= hashes(extra.path.parent)
        kept = sorted(extra.path.parent.glob("*.original*"))
        assert [pd.read_parquet(path)["number"].item() for path in kept] == list(range(number + 1))
