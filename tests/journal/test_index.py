from __future__ import annotations

import pytest

from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal import Failure, Journal
from k150k_pipeline.journal.index import PlaceReader, index_rows


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal", tmp_path / "out.jsonl")


def write(journal, shard, key, *names, value=0):
    with journal.writer(shard, key, {"key": key}) as writer:
        for name in names:
            writer.ok(name, 1, 0.1, {"name": name, "value": value})


def payloads(journal, key="ours", accepted=()):
    places = index_rows(journal, key, accepted)
    with PlaceReader() as reader:
        return {name: reader.read(place).payload()["value"] for name, place in places.items()}


def test_every_row_is_found_where_it_lies(journal):
    write(journal, 0, "ours", "b", "c", value=1)
    write(journal, 1, "ours", "a", value=2)
    with journal.writer(2, "ours", {}) as writer:
        writer.failed("d", 1, 0.1, Failure("decode", "corrupt", "x"))
        writer.ok("e", 1, 0.1, {"value": 3})
    assert payloads(journal) == {"a": 2, "b": 1, "c": 1, "e": 3}


def test_first_row_counts_unless_a_later_one_is_of_our_own(journal):
    write(journal, 0, "theirs", "a", "b", value=1)
    write(journal, 1, "ours", "a", value=2)
    write(journal, 2, "ours", "a", value=3)
    write(journal, 3, "strange", "c", value=4)
    assert payloads(journal) == {"a": 2}
    assert payloads(journal, accepted={"theirs"}) == {"a": 2, "b": 1}


def test_torn_and_broken_lines_are_passed_over(journal):
    write(journal, 0, "ours", "a", "b", "c", value=1)
    (path,) = journal.files()
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"b"', b'"x"')
    path.write_bytes(b"".join(lines)[:-5])
    assert payloads(journal) == {"a": 1}


def test_file_that_changes_under_the_reader_is_noticed(journal):
    write(journal, 0, "ours", "a", "b")
    places = index_rows(journal, "ours", ())
    path = places["a"].path
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"z"'))
    with PlaceReader() as reader:
        assert reader.read(places["b"]).clip == "b"
        with pytest.raises(JournalError, match="has changed"):
            reader.read(places["a"])


def test_a_journal_of_more_files_than_may_be_open_is_read(journal, monkeypatch):
    monkeypatch.setattr("k150k_pipeline.journal.index._MOST_OPEN", 3)
    for shard, name in enumerate("abcdefgh"):
        write(journal, shard, "ours", name, name * 2, value=shard)
    assert payloads(journal) == {n * k: i for i, n in enumerate("abcdefgh") for k in (1, 2)}
    with PlaceReader() as reader:
        for place in index_rows(journal, "ours", ()).values():
            reader.read(place)
            assert len(reader._files) <= 3
