"""Which rows of a clip count, by the file that is there."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

import pytest

from k150k_pipeline.errors import ClipError, InputError
from k150k_pipeline.journal import Entry, Failure, Journal
from k150k_pipeline.media.identity import FileIdentity, identify
from k150k_pipeline.pipelines.clipwise.changes import (
    Changes,
    RowFiles,
    counting,
    find_changes,
    settle,
)

OWN = "own"


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal", tmp_path / "out.parquet")


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"bytes of a clip")
    return path


def row(file: FileIdentity | None, at: float = 1.0, fingerprint: str = OWN) -> Entry:
    return Entry("a.mp4", fingerprint, 1, at, 0.0, b"{}", None, file)


def at(clip):
    return lambda _: FileIdentity.unread(clip) if clip else None


def look(journal, rows, clip, hashed=None) -> Changes:
    files = RowFiles({OWN})
    assert list(files.note(rows)) == rows

    def note(name):
        if hashed is not None:
            hashed.append(name)
        return identify(clip)

    return find_changes(files, at(clip), journal, note)


def test_identity_is_that_of_the_file(clip):
    found = identify(clip)
    assert found.sha256 == hashlib.sha256(clip.read_bytes()).hexdigest()
    assert found.is_version(FileIdentity.unread(clip)) and found.size == 15
    assert FileIdentity.parse(found.as_dict()) == found
    for broken in (None, {}, [], {**found.as_dict(), "size": "15"}, {"sha256": ""}):
        assert FileIdentity.parse(broken) is None


def test_what_is_no_file_has_no_identity(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (("pipe", "not_a_file"), ("", "not_a_file"), ("missing", "missing")):
        with pytest.raises(ClipError) as caught:
            identify(tmp_path / path)
        assert caught.value.reason == reason


def test_unchanged_file_and_one_of_another_size_are_not_hashed(journal, clip):
    hashed = []
    rows = [row(identify(clip))]
    assert look(journal, rows, clip, hashed) == Changes()
    clip.write_bytes(b"longer bytes of a clip")
    assert look(journal, rows, clip, hashed).changed == ["a.mp4"]
    assert hashed == []


def test_touched_file_is_hashed_once(journal, clip):
    hashed = []
    rows = [row(identify(clip))]
    os.utime(clip, ns=(1, 1))
    for _ in range(3):
        assert look(journal, rows, clip, hashed) == Changes()
    assert len(hashed) == 1
    os.utime(clip, ns=(2, 2))
    look(journal, rows, clip, hashed)
    assert len(hashed) == 2


@pytest.mark.parametrize("notes", [b"", b"{}\n[]\nnull\n\xff\n", b'{"clip": 1}\n', None])
def test_damaged_notes_cost_a_hash_and_no_more(journal, clip, notes):
    hashed = []
    rows = [row(identify(clip))]
    os.utime(clip, ns=(1, 1))
    if notes is None:
        (journal.folder / "same_bytes.jsonl").mkdir(parents=True)
        with pytest.raises(OSError, match="cannot be written"):
            look(journal, rows, clip)
        return
    journal.folder.mkdir()
    (journal.folder / "same_bytes.jsonl").write_bytes(notes)
    assert look(journal, rows, clip, hashed) == Changes()
    assert len(hashed) == 1


def test_same_size_and_other_bytes_is_a_change(journal, clip):
    rows = [row(identify(clip))]
    clip.write_bytes(b"bytes of a blip")
    os.utime(clip, ns=(1, 1))
    found = look(journal, rows, clip)
    assert found.changed == ["a.mp4"] and found.superseded == {"a.mp4": [rows[0].file.sha256]}
    assert list(counting(rows, found.superseded)) == []
    failure = Entry("a.mp4", OWN, 1, 0.0, 0.0, None, Failure("s", "r", "d"))
    others = [failure, row(identify(clip))]
    assert list(counting(others, found.superseded)) == others


def test_file_that_cannot_be_read_is_a_change(journal, clip):
    rows = [row(identify(clip))]
    os.utime(clip, ns=(1, 1))
    files = RowFiles({OWN})
    list(files.note(rows))
    found = find_changes(files, at(clip), journal, lambda _: None)
    assert found.changed == ["a.mp4"]


def test_rows_without_a_file_and_foreign_rows_accuse_nobody(journal, clip):
    foreign = FileIdentity(1, 1, "f" * 64)
    assert look(journal, [row(None)], clip) == Changes(unknown=1)
    assert look(journal, [row(None)], None) == Changes()
    assert look(journal, [row(foreign, fingerprint="other")], clip) == Changes()


def test_recorded_row_of_the_present_bytes_has_precedence_over_an_unrecorded_one(journal, clip):
    rows = [row(None), row(identify(clip))]
    found = look(journal, rows, clip)
    assert found.changed == [] and list(counting(rows, found.superseded)) == [rows[1]]


def failure(file: FileIdentity | None) -> Entry:
    return Entry("a.mp4", OWN, 1, 1.0, 0.0, None, Failure("decode", "corrupt", ""), file)


def test_failures_on_other_bytes_do_not_count(journal, clip):
    other, same = FileIdentity(1, 1, "f" * 64), identify(clip)
    tried = [failure(other), failure(None), failure(same)]
    found = look(journal, tried, clip)
    assert found == Changes(superseded={"a.mp4": ["f" * 64]})
    assert list(counting(tried, found.superseded)) == tried[1:]
    assert look(journal, tried, None) == Changes(), "the clip is not there to be another"
    foreign = replace(failure(other), fingerprint="other")
    assert look(journal, [foreign], clip) == Changes(), "it counts for no run of this engine"


def test_touched_clip_that_failed_is_hashed_once_and_has_its_failures(journal, clip):
    tried, hashed = [failure(identify(clip))], []
    os.utime(clip, (1, 1))
    for _ in range(2):
        assert look(journal, tried, clip, hashed) == Changes()
    assert hashed == ["a.mp4"]


def test_clip_with_a_row_that_failed_as_another_file_has_its_row(journal, clip):
    lines = [row(identify(clip)), failure(FileIdentity(1, 1, "f" * 64))]
    found = look(journal, lines, clip)
    assert found.changed == [] and list(counting(lines, found.superseded)) == lines[:1]


@pytest.mark.parametrize("order", [1, -1])
def test_without_the_file_the_latest_row_counts(journal, order):
    rows = [row(FileIdentity(1, 1, c * 64), at) for c, at in (("a", 1.0), ("b", 2.0))][::order]
    found = look(journal, rows, None)
    assert found.changed == []
    assert [r.file.sha256[0] for r in counting(rows, found.superseded)] == ["b"]


def test_refusal_names_the_first_clips_and_the_choices():
    settle(Changes(), "refuse")
    names = [f"{i}.mp4" for i in range(5)]
    with pytest.raises(InputError, match=r"^5 \(0\.mp4, 1\.mp4, 2\.mp4, …\) of the clips .*=keep"):
        settle(Changes(changed=names), "refuse")
