"""Another store than S3: whatever fsspec knows has the same operations."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pytest

from k150k_pipeline.datasets import FeaturesDataset, TablePartsDataset
from k150k_pipeline.durable import keep, write_text
from k150k_pipeline.journal.lock import OutputInUseError, lock_at
from k150k_pipeline.pipelines.clipwise import make_shares, read_share
from k150k_pipeline.storage import connection, discard, fetched, place, refresh, url_of


@pytest.fixture
def folder(local_copies):
    return place(f"memory://{uuid.uuid4().hex}/some folder")


def test_files_are_put_fetched_listed_kept_and_removed(folder):
    path = folder / "ü.txt"
    write_text(path, "one")
    write_text(folder / "other.txt", "two")
    assert connection.read(str(url_of(path))) == b"one"
    for copy in (path, folder / "other.txt"):
        copy.unlink()
    assert fetched(path).read_text() == "one"
    refresh(folder)
    assert sorted(each.name for each in folder.iterdir()) == ["other.txt", "ü.txt"]
    kept = keep(path)
    found = connection.listing(str(url_of(folder)))
    assert [each.name for each in found] == ["other.txt", path.name, kept.name]
    discard(path)
    assert not path.exists() and fetched(path) == path and not path.exists()


def test_shares_of_a_plan_are_those_in_the_store_and_not_an_earlier_copy(folder):
    url = f"{url_of(folder)}/run/shares.parquet"
    dataset = TablePartsDataset(filepath=url)
    dataset.save(make_shares(["earlier"], {}, 1))
    earlier = dataset.path.read_bytes()
    dataset.save(make_shares(["a", "b", "c"], {}, 2))
    dataset.path.unlink()
    assert read_share(TablePartsDataset(filepath=url).load(), 0, 2) == (["a", "c"], {})
    dataset.path.write_bytes(earlier)
    assert read_share(TablePartsDataset(filepath=url).load(), 1, 2) == (["b"], {})


def test_a_features_table_in_a_store_is_found_and_is_one_object(folder):
    url = f"{url_of(folder)}/features.parquet"
    dataset = FeaturesDataset(filepath=url, rows_per_file=2)
    dataset.save(pa.table({"clip_name": ["a", "b", "c"]}))
    dataset.path.unlink()
    fresh = FeaturesDataset(filepath=url, rows_per_file=2)
    assert fresh.exists() and fresh.load().num_rows == 3
    assert [each.name for each in connection.listing(str(url_of(folder)))] == ["features.parquet"]


def test_object_that_is_there_is_not_created_again(folder, tmp_path):
    source = tmp_path / "file"
    source.write_text("x")
    url = str(url_of(folder / "a"))
    connection.put(source, url, create=True)
    source.write_text("more")
    with pytest.raises(FileExistsError):
        connection.put(source, url, create=True)
    assert connection.read(url) == b"x"


def test_lock(folder, monkeypatch):
    monkeypatch.setenv("K150K_LEASES", "{}")
    first = lock_at(folder / "run.lock")
    first.acquire()
    with pytest.raises(OutputInUseError):
        lock_at(folder / "run.lock").acquire()
    first.release()
    second = lock_at(folder / "run.lock")
    second.acquire()
    second.release()
