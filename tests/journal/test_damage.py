"""Every reader of a journal passes over what is damaged, and refuses another format by name."""

from __future__ import annotations

import pytest

from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.files import Damage
from k150k_pipeline.journal.index import index_rows
from k150k_pipeline.journal.watch import JournalTail
from tests.support.damage import JOURNAL, shards

READERS = {
    "entries": lambda journal: list(journal.entries()),
    "scorings": lambda journal: journal.scorings(),
    "cut_torn_lines": lambda journal: journal.cut_torn_lines(),
    "index_rows": lambda journal: index_rows(journal, "f", ()),
    "JournalTail": lambda journal: JournalTail(journal).poll(),
}
FORMATS = ("format 2, same keys", "format 2, other keys", "format 2, other keys, sealed")
IN_PLACE = {
    name: kind
    for name, kind in JOURNAL.items()
    if not kind.refusal and not name.startswith(("run.json", "journal lost", "run folder"))
}


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal", tmp_path / "out")
    for shard in range(2):
        with journal.writer(shard, "f", {"engine": "x"}) as writer:
            for index in range(3):
                writer.ok(f"{shard}{index}.mp4", 1, 0.1, {"a": "b" * 600, "b": index})
    (journal.folder / "run.lock").touch()
    return journal


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("name", FORMATS)
def test_another_format_is_refused_by_name(journal, name, read):
    JOURNAL[name].damage(journal.folder)
    before = [path.read_bytes() for path in shards(journal.folder)]
    with pytest.raises(JournalError) as caught:
        read(journal)
    assert f"{shards(journal.folder)[0]} has the format 2" in str(caught.value)
    assert before == [path.read_bytes() for path in shards(journal.folder)]


@pytest.mark.parametrize("name", IN_PLACE)
def test_all_readers_pass_over_the_same_lines(journal, name):
    IN_PLACE[name].damage(journal.folder)
    rows = {entry.clip for entry in journal.entries()}
    assert index_rows(journal, "f", ()).keys() == rows
    assert JournalTail(journal).poll().clips == rows
    journal.cut_torn_lines()
    assert {entry.clip for entry in journal.entries()} == rows
    assert len(rows) >= 3 or "lost" in name


def test_payload_that_is_not_understood_is_a_damaged_line(journal):
    damage = Damage()
    rows = journal.entries(damage, lambda entry: entry.payload()["b"] != 1)
    assert {entry.clip for entry in rows} == {"00.mp4", "02.mp4", "10.mp4", "12.mp4"}
    assert [line.rpartition(":")[2] for line in damage.broken] == ["3", "3"]
    assert {entry.clip for entry in journal.entries(skipped=damage.broken)} == {
        "00.mp4", "02.mp4", "10.mp4", "12.mp4",
    }  # fmt: skip
    assert "01.mp4" not in index_rows(journal, "f", (), damage.broken)


def test_only_a_torn_line_of_a_whole_file_is_cut_off(journal):
    path = shards(journal.folder)[0]
    whole = path.read_bytes()
    for content in (bytes(5000), b"x" + whole[:-9], whole[1:-9]):
        path.write_bytes(content)
        assert journal.cut_torn_lines() == 0
        assert path.read_bytes() == content
    path.write_bytes(whole[:-9])
    assert journal.cut_torn_lines() == 1
    assert path.read_bytes() == whole[: whole[:-1].rindex(b"\n") + 1]
