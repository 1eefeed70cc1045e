"""The journal holds what was written, and nothing else, whatever happens to its files."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal import Failure, Journal
from k150k_pipeline.journal.files import Damage

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


def test_each_line_is_durable_before_the_call_returns(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_size), real(fd)))
    with Journal(tmp_path, tmp_path / "o").writer(0, "f", {}) as writer:
        writer.ok("a", 1, 0.1, {"v": 1})
        (path,) = tmp_path.glob("shard-*")
        assert synced[-1] == path.stat().st_size
        writer.ok("b", 1, 0.1, {"v": 2})
        assert synced[-1] == path.stat().st_size
        assert writer.syncs == 2


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
