"""Readers of finished outputs name a damaged file in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

from k150k_pipeline.damaged import set_aside
from k150k_pipeline.datasets import (
    AtomicJSONDataset,
    AtomicJSONLinesDataset,
    AtomicParquetDataset,
    FeaturesDataset,
    JournalDataset,
)
from tests.support.damage import GARBAGE, ZEROS

BROKEN = {"garbage": GARBAGE, "zeros": ZEROS, "empty": b"", "cut": b'{"a": [1, 2'}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize(
    "dataset", [AtomicParquetDataset, FeaturesDataset, AtomicJSONDataset, AtomicJSONLinesDataset]
)
def test_a_damaged_file_is_named_when_loaded_and_when_shown(dataset, content, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    read = dataset(filepath=str(path))
    if dataset is AtomicJSONLinesDataset and not content:
        assert read.load().empty
        return
    for reading in (read.load, read.preview):
        with pytest.raises(DatasetError) as caught:
            reading()
        assert f"{path} " in str(caught.value).replace("\n", " ")
        assert "codec" not in str(caught.value) or "is not JSON" in str(caught.value)


def test_parquet_with_zeroed_pages_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": list(range(5000))}), path, compression="zstd")
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(len(content) // 2) + content[4 + len(content) // 2 :])
    read = FeaturesDataset(filepath=str(path))
    for reading in (read.load, read.preview):
        with pytest.raises(DatasetError, match=r"a\.parquet is not a parquet file"):
            reading()


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_preview_of_a_journal_shows_what_is_wrong_with_its_run(content, tmp_path):
    journal = JournalDataset(path=str(tmp_path), output={"filepath": "/o"})
    (tmp_path / "run.json").write_bytes(content)
    shown = json.loads(journal.preview())
    assert shown["files"] == 0 and "run.json cannot be read" in shown["run"]


def test_set_aside_overwrites_nothing(tmp_path, caplog):
    path = tmp_path / "file"
    (tmp_path / "file.damaged-2").symlink_to("nowhere")
    kept = []
    for content in (b"a", b"b", b"c"):
        path.write_bytes(content)
        kept.append(set_aside(path, "a reason\nof two lines", "it is made again"))
        assert not path.exists()
    assert [k.name for k in kept] == [f"file.damaged-{n}" for n in (1, 3, 4)]
    assert [k.read_bytes() for k in kept] == [b"a", b"b", b"c"]
    assert f"{path} is damaged (a reason of two lines): it is made again" in caplog.text
    assert Path(tmp_path / "file.damaged-2").is_symlink()
