"""The journal holds what was written, and nothing else, whatever happens to its files."""

from __future__ import annotations

import errno
import math
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal import Failure, Journal
from k150k_pipeline.journal.files import Damage
from k150k_pipeline.journal.writer import JournalWriter

names = st.text(min_size=1, max_size=30).filter(
    lambda n: not any(0xD800 <= ord(c) < 0xE000 for c in n)
)
numbers = st.floats(allow_nan=True, allow_infinity=False)
results = st.one_of(
    st.builds(Failure, st.sampled_from(["probe", "decode"]), st.text(max_size=9), names),
    st.fixed_dictionaries({"width": st.integers(1, 9999), "values": st.lists(numbers, max_size=5)}),
)
written = st.lists(st.tuples(names, results, st.integers(0, 3)), max_size=20)
somewhere = st.floats(0, 1, exclude_max=True)
ordinary = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def fill(folder: Path, clips) -> Journal:
    journal = Journal(folder, folder / "out.parquet")
    writers = [journal.writer(shard, f"f{shard}", {"plan": "x"}) for shard in range(4)]
    for clip, result, shard in clips:
        if isinstance(result, Failure):
            writers[shard].failed(clip, 1, 0.5, result)
        else:
            writers[shard].ok(clip, 1, 0.5, result)
    for writer in writers:
        writer.__exit__()
    return journal


def contents(journal: Journal):
    return sorted(
        (e.fingerprint, e.clip, repr(e.failure or e.payload())) for e in journal.entries()
    )


@ordinary
@given(clips=written)
def test_what_is_written_is_read(tmp_path_factory, clips):
    journal = fill(tmp_path_factory.mktemp("j"), clips)
    assert contents(journal) == sorted((f"f{s}", c, repr(r)) for c, r, s in clips)


@ordinary
@given(clips=written.filter(bool), pick=st.integers(0, 3), where=somewhere)
def test_a_file_cut_anywhere_loses_only_its_last_line(tmp_path_factory, clips, pick, where):
    journal = fill(tmp_path_factory.mktemp("j"), clips)
    path = journal.files()[pick % len(journal.files())]
    whole = path.read_bytes()
    cut = int(where * len(whole))
    path.write_bytes(whole[:cut])
    kept = whole[:cut].count(b"\n")
    damage = Damage()
    left = [
        e for e in journal.entries(damage) if path.name.startswith(f"shard-000{e.fingerprint[1]}")
    ]
    assert len(left) == max(kept - 1, 0)
    torn = whole[:cut][-1:] not in (b"\n", b"")
    assert damage.torn == torn and not damage.broken
    assert journal.cut_torn_lines() == torn
    assert path.read_bytes() == whole[: whole[:cut].rfind(b"\n") + 1]
    assert journal.cut_torn_lines() == 0


@ordinary
@given(where=somewhere, change=st.integers(1, 255))
def test_a_changed_byte_never_passes_for_a_result(tmp_path_factory, where, change):
    clips = [(f"c{i}", {"width": i, "values": [i / 7]}, 0) for i in range(5)]
    journal = fill(tmp_path_factory.mktemp("j"), clips)
    path = journal.files()[0]
    text = bytearray(path.read_bytes())
    body = text.index(b"\n") + 1
    text[body + int(where * (len(text) - body))] ^= change
    path.write_bytes(text)
    good = {(c, r["width"], r["values"][0]) for c, r, _ in clips}
    damage = Damage()
    read = {
        (e.clip, e.payload()["width"], e.payload()["values"][0]) for e in journal.entries(damage)
    }
    assert read < good
    assert damage.torn + len(damage.broken) >= 1


def test_nan_comes_back(tmp_path):
    journal = fill(tmp_path, [("a", {"values": [math.nan, 1 / 3]}, 0)])
    values = next(iter(journal.entries())).payload()["values"]
    assert math.isnan(values[0]) and values[1] == 1 / 3


@dataclass
class Disk:
    """A disk whose fsyncs take as long as a test says, by a clock that only the test moves.

    Attributes:
        now: Time of the clock.
        takes: Seconds of an fsync.
        synced: Size of the file at each fsync.
        broken: Whether an fsync fails.
    """

    now: float = 100.0
    takes: float = 0.0
    synced: list[int] = field(default_factory=list)
    broken: bool = False

    def fsync(self, descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return
        if self.broken:
            raise OSError(errno.EIO, "Input/output error")
        self.now += self.takes
        self.synced.append(os.fstat(descriptor).st_size)

    def record(self, writer: JournalWriter, clip: str, after: float) -> None:
        """Record a clip that took so many seconds."""
        self.now += after
        writer.ok(clip, 1, after, {"v": 1})


@pytest.fixture
def disk(monkeypatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk.fsync)
    monkeypatch.setattr(time, "perf_counter", lambda: disk.now)
    return disk


def size_of_journal(folder: Path) -> int:
    (path,) = folder.glob("shard-*")
    return path.stat().st_size


@pytest.mark.parametrize("takes", [0.001, 5.0])
def test_line_of_a_clip_is_durable_before_the_next_clip(tmp_path, disk, takes):
    disk.takes = takes
    with Journal(tmp_path, tmp_path / "o").writer(0, "f", {}) as writer:
        for number in range(1, 4):
            disk.record(writer, f"{number}", after=0.2)
            assert disk.synced[-1] == size_of_journal(tmp_path)
            assert (writer.syncs, writer.sync_seconds) == (number, pytest.approx(number * takes))


@pytest.mark.parametrize(
    ("takes", "after", "synced"),
    [
        (0.01, 0.004, [1, 4, 7, 9]),
        (0.01, 0.006, [1, 3, 5, 7, 9]),
        (0.0, 0.0, list(range(1, 10))),
        (5.0, 0.06, [1, 3, 5, 7, 9]),
    ],
)
def test_lines_wait_until_their_work_is_worth_an_fsync(tmp_path, disk, takes, after, synced):
    disk.takes = takes
    sizes = []
    with Journal(tmp_path, tmp_path / "o").writer(0, "f", {}) as writer:
        for number in range(9):
            disk.record(writer, f"{number}", after)
            sizes.append(size_of_journal(tmp_path))
    assert [sizes.index(size) + 1 for size in disk.synced] == synced


def test_disk_that_fails_at_the_end_of_a_shard(tmp_path, disk):
    disk.takes = 0.01
    writer = Journal(tmp_path, tmp_path / "o").writer(0, "f", {})
    with pytest.raises(JournalError, match=r"cannot be written: Input/output error"), writer:
        disk.record(writer, "a", after=0.1)
        disk.record(writer, "b", after=0.001)
        disk.broken = True
    assert writer._descriptor is None


def test_disk_that_fails_when_a_shard_is_interrupted_hides_nothing(tmp_path, disk):
    disk.takes = 0.01
    writer = Journal(tmp_path, tmp_path / "o").writer(0, "f", {})
    with pytest.raises(KeyboardInterrupt), writer:
        disk.record(writer, "a", after=0.1)
        disk.record(writer, "b", after=0.001)
        disk.broken = True
        raise KeyboardInterrupt


def test_full_disk_stops_the_writer():
    writer = Journal(Path("/dev"), Path("/dev/null")).writer(0, "f", {})
    writer._path = Path("/dev/full")
    writer._descriptor = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(
        JournalError, match=r"the journal /dev/full cannot be written: No space left"
    ):
        writer.ok("a", 1, 0.1, {})


def test_writer_that_finished_nothing_leaves_no_file(tmp_path):
    with Journal(tmp_path, tmp_path / "o").writer(0, "f", {}):
        pass
    assert list(tmp_path.iterdir()) == []
