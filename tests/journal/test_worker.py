"""A shard whose process dies: what is done stays done, and one clip has failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from k150k_pipeline.errors import ClipError, JournalError
from k150k_pipeline.isolation import deaths
from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.worker import ShardJournal, Tally, work_through

CLIPS = ["a", "b", "c", "d"]


class Death(BaseException):
    """The end of the process, as far as its loop can see."""


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal", tmp_path / "out.parquet")


@pytest.fixture
def seen_to_crash(monkeypatch):
    monkeypatch.setattr(deaths, "_end_of_predecessor", (deaths.CRASHED, "signal SIGSEGV"))


def work(journal, process, run: str = "now", shard: int = 0, clips=CLIPS) -> Tally:
    with ShardJournal(journal, shard, "f", {}, run) as lines:
        return work_through(clips, process, lines, {"b": 1})


def dying_at(name: str, seen: list[str]):
    def process(clip: str) -> dict:
        seen.append(clip)
        if clip == name:
            raise Death
        if clip == "a":
            raise ClipError("decode", "corrupt", "no")
        return {"clip": clip}

    return process


def outcomes(journal) -> dict[str, tuple]:
    lines = [
        (e.clip, (e.status, e.attempt, e.failure and e.failure.reason)) for e in journal.entries()
    ]
    assert len(lines) == len(dict(lines)), "a clip has two lines"
    return dict(lines)


def test_next_process_goes_on_and_blames_the_clip_that_was_begun(
    journal, seen_to_crash, monkeypatch
):
    monkeypatch.setattr("k150k_pipeline.journal.writer._MOST_AT_RISK", 0.0)  # each line is synced
    seen: list[str] = []
    with pytest.raises(Death):
        work(journal, dying_at("b", seen))
    tally = work(journal, dying_at("nothing", seen))
    assert seen == ["a", "b", "c", "d"]
    assert outcomes(journal) == {
        "a": ("failed", 1, "corrupt"),
        "b": ("failed", 2, "crashed"),
        "c": ("ok", 1, None),
        "d": ("ok", 1, None),
    }
    assert (tally.ok, tally.failed, tally.killed, tally.syncs) == (2, 2, 0, 4)


def test_many_deaths_in_one_run(journal, seen_to_crash):
    seen: list[str] = []
    for name in ("b", "c", "d"):
        with pytest.raises(Death):
            work(journal, dying_at(name, seen))
    tally = work(journal, dying_at("nothing", seen))
    assert seen == CLIPS and (tally.ok, tally.failed) == (0, 4)


def test_reason_is_how_the_process_ended(journal, monkeypatch):
    monkeypatch.setattr(deaths, "_end_of_predecessor", ("killed", "signal SIGKILL"))
    with pytest.raises(Death):
        work(journal, dying_at("c", []))
    tally = work(journal, dying_at("nothing", []))
    assert outcomes(journal)["c"] == ("failed", 1, "killed") and tally.killed == 1


def test_mark_of_another_run_or_shard_blames_nobody(journal):
    for run, shard in (("earlier", 0), ("now", 1)):
        with pytest.raises(Death):
            work(journal, dying_at("a", []), run, shard)
    seen: list[str] = []
    work(journal, dying_at("nothing", seen))
    assert seen == CLIPS and outcomes(journal)["a"] == ("failed", 1, "corrupt")


def test_death_after_the_line_and_before_the_next_clip(journal):
    """The mark still names the clip that has its line."""
    work(journal, dying_at("nothing", []), clips=CLIPS[:2])
    seen: list[str] = []
    tally = work(journal, dying_at("nothing", seen))
    assert seen == ["c", "d"] and (tally.ok, tally.failed) == (3, 1)
    assert work(journal, dying_at("nothing", seen)) == tally.model_copy(
        update={"syncs": 4, "sync_seconds": 0.0}
    )
    assert seen == ["c", "d"]


def test_torn_line_of_a_dead_process_is_no_line(journal, seen_to_crash):
    with pytest.raises(Death):
        work(journal, dying_at("d", []))
    (path,) = journal.own_files()
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    seen: list[str] = []
    work(journal, dying_at("nothing", seen))
    assert seen == ["c"] and outcomes(journal)["d"][2] == "crashed"


@pytest.mark.parametrize(
    "mark",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"run": "now"}',
        b'{"run": 1, "clip": 2, "files": 3}',
        b'{"run": "now", "clip": "a", "files": ["x"], "losses": "many"}',
    ],
)
def test_mark_that_cannot_be_read_counts_for_nothing(journal, mark):
    path = journal.run_folder / "started_0000.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(mark)
    seen: list[str] = []
    assert work(journal, dying_at("nothing", seen)).ok == 3
    assert seen == CLIPS and json.loads(path.read_bytes().splitlines()[0])["clip"] == "d"


def test_shorter_mark_hides_what_is_left_of_a_longer_one(journal, seen_to_crash):
    clips = ["a long name " * 12, "b", "ü" * 100, "c"]
    for index in range(1, 4):
        with pytest.raises(Death):
            work(journal, dying_at(clips[index], []), run=str(index), clips=clips)
        work(journal, dying_at("nothing", []), run=str(index), clips=clips[: index + 1])
    assert [e.clip for e in journal.entries() if e.failure] == clips[1:]


def test_mark_that_cannot_be_written(journal):
    journal.folder.mkdir()
    (journal.folder / "run").write_text("in the way")
    with pytest.raises(JournalError, match="started_0000"):
        work(journal, dying_at("nothing", []))


def test_clip_whose_process_is_killed_is_tried_three_times(journal):
    seen: list[str] = []

    def process(clip: str) -> dict:
        seen.append(clip)
        if clip == "a" or (clip == "b" and seen.count("b") < 3):
            raise ClipError("score", "killed", "by somebody")
        return {}

    tally = work(journal, process, clips=["a", "b"])
    assert seen == ["a"] * 3 + ["b"] * 3
    assert (tally.ok, tally.failed, tally.killed) == (1, 1, 1)
    assert Path(journal.folder).is_dir()


def test_clip_whose_process_was_lost_is_tried_again_and_given_up_as_killed_in_the_end(journal):
    seen: list[str] = []
    for _ in range(3):
        with pytest.raises(Death):
            work(journal, dying_at("b", seen))
    tally = work(journal, dying_at("nothing", seen))
    assert seen == ["a", "b", "b", "b", "c", "d"]
    assert outcomes(journal)["b"] == ("failed", 2, "killed")
    assert (tally.ok, tally.failed, tally.killed) == (2, 2, 1)


def test_losses_are_counted_by_clip(journal):
    seen: list[str] = []
    for name in ("b", "b", "c", "c", "d", "d"):
        with pytest.raises(Death):
            work(journal, dying_at(name, seen))
    tally = work(journal, dying_at("nothing", seen))
    assert (tally.ok, tally.failed, tally.killed) == (3, 1, 0)
    assert "".join(seen) == "abbbcccddd"


def test_process_that_was_taken_for_dead_does_no_harm(journal, seen_to_crash):
    """It goes on while its successor works, with a journal file and a mark of its own."""
    with ShardJournal(journal, 0, "f", {}, "now") as early:
        early.begin("a")
        early.ok("a", 1, 0.0, {"clip": "a"})
        with ShardJournal(journal, 0, "f", {}, "now") as late:
            late.begin("b")
            early.begin("c")
            early.ok("c", 1, 0.0, {"clip": "c"})
            early.begin("d")
        work(journal, dying_at("nothing", seen := []))
    # The third process takes over from the second, and knows the files of both.
    assert seen == ["d"]
    assert [e.clip for e in journal.entries() if e.failure] == ["b"]
