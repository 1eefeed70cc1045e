"""Features above the size of one file: a folder of files, replaced as a whole, read as a table."""

from __future__ import annotations

import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

from k150k_pipeline.datasets import AtomicParquetDataset, FeaturesDataset, partitioned
from k150k_pipeline.mos.engines import engines_of_file
from k150k_pipeline.mos.table import read_frame

METADATA = {b"k150k": b'{"rows_scored_with": {"f": {"rows": 7}}}'}
SCHEMA = pa.schema([("clip_name", pa.string()), ("mos", pa.float64())], metadata=METADATA)


def table(rows: int) -> pa.Table:
    names = [f"{number:02d}" for number in range(rows)]
    return pa.table({"clip_name": pa.array(names, pa.string()), "mos": [1.5] * rows}, SCHEMA)


def reader(rows: int, batch: int = 2) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(SCHEMA, table(rows).to_batches(batch))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "features.parquet"


def dataset(path, rows: int = 4) -> FeaturesDataset:
    return FeaturesDataset(filepath=str(path), rows_per_file=rows)


def files(path) -> list[str]:
    return sorted(f.name for f in path.parent.iterdir() if not f.name.endswith(".parts"))


@pytest.mark.parametrize(("rows", "sizes"), [(5, [4, 1]), (8, [4, 4]), (9, [4, 4, 1])])
@pytest.mark.parametrize("make", [table, reader])
def test_a_large_table_is_a_folder_that_every_reader_reads(path, make, rows, sizes):
    dataset(path).save(make(rows))
    assert path.is_symlink() and path.is_dir()
    assert [pq.read_metadata(part).num_rows for part in sorted(path.iterdir())] == sizes
    assert dataset(path).load().equals(table(rows), check_metadata=True)
    names = [f"{number:02d}" for number in range(rows)]
    assert list(pd.read_parquet(path)["clip_name"]) == names
    assert list(read_frame(path, "judge")["clip_name"]) == names
    assert engines_of_file(path) == {"f": {"rows": 7}}
    assert dataset(path).exists() and len(dataset(path).preview(2)["data"]) == 2


@pytest.mark.parametrize("rows", [1, 3, 4])
def test_up_to_the_size_it_is_the_file_that_it_always_was(path, tmp_path, rows):
    AtomicParquetDataset(filepath=str(tmp_path / "before.parquet")).save(table(rows))
    AtomicParquetDataset(filepath=str(tmp_path / "streamed.parquet")).save(reader(rows))
    dataset(path).save(table(rows))
    assert path.read_bytes() == (tmp_path / "before.parquet").read_bytes()
    dataset(path).save(reader(rows))
    assert path.read_bytes() == (tmp_path / "streamed.parquet").read_bytes()
    assert path.is_file() and not path.is_symlink()
    assert not list(tmp_path.glob(".*"))


def test_a_table_that_grows_and_shrinks_leaves_nothing_behind(path):
    for rows in (3, 9, 5, 2, 8, 4):
        dataset(path).save(reader(rows))
        assert dataset(path).load().num_rows == rows
        assert files(path) == ["features.parquet"]
        assert len(list(path.parent.glob(".*"))) == (rows > 4)


@pytest.mark.parametrize("before", [0, 3, 9])
@pytest.mark.parametrize("call", ["_write_parts", "sync_folder"])
def test_a_failure_leaves_the_table_before_it(path, monkeypatch, before, call):
    if before:
        dataset(path).save(reader(before))
    original = getattr(partitioned, call)

    def fail(*arguments):
        original(*arguments)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(partitioned, call, fail)
        with pytest.raises(DatasetError, match=f"{path.name} cannot be written: No space left"):
            dataset(path).save(reader(7))
    assert not before or dataset(path).load().num_rows == before
    dataset(path).save(reader(6))
    assert dataset(path).load().num_rows == 6
    assert len(list(path.parent.glob(".*"))) == 1


def test_what_is_not_ours_is_not_removed(path):
    other = path.parent / ".another.parquet.1.parts"
    other.mkdir()
    dataset(path).save(reader(7))
    kept = path.rename(path.with_name("features.parquet.damaged-1"))
    dataset(path).save(reader(9))
    assert pd.read_parquet(kept).shape[0] == 7 and other.is_dir()
    assert not dataset(kept).may_be_folder(output=True)
    assert dataset(path).may_be_folder(output=True)


def test_a_folder_of_a_user_is_read_and_never_an_output(path):
    dataset(path).save(reader(7))
    copy = path.with_name("copy.parquet")
    shutil.copytree(path, copy)
    assert dataset(copy).load().num_rows == 7
    assert dataset(copy).may_be_folder(output=False)
    assert not dataset(copy).may_be_folder(output=True)
    link = path.with_name("link.parquet")
    link.symlink_to(copy)
    assert not dataset(link).may_be_folder(output=True)


def test_a_damaged_part_is_named(path):
    dataset(path).save(reader(7))
    sorted(path.iterdir())[1].write_bytes(b"PAR1 no PAR1")
    with pytest.raises(DatasetError, match="is not a parquet file"):
        dataset(path).load()
