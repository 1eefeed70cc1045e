"""The merge of extract in parts: the rows of a merge in one part, and the memory of one of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k150k_pipeline.datasets import AtomicParquetDataset
from k150k_pipeline.journal import Entry, Failure, Journal
from k150k_pipeline.journal.records import encode_entry, encode_header, encode_payload
from k150k_pipeline.pipelines.clipwise import spill
from k150k_pipeline.pipelines.clipwise.spill import Spill
from k150k_pipeline.pipelines.feature_extraction.feature_file import read_back, read_names
from k150k_pipeline.pipelines.feature_extraction.gathering import Gathered, gather
from k150k_pipeline.pipelines.feature_extraction.outputs import features_table
from k150k_pipeline.pipelines.feature_extraction.plan import ExtractionPlan
from k150k_pipeline.schemas.features import VALUE_COLUMNS

NAMES = [f"clip_{number:02d}.mp4" for number in range(12)]

lines = st.lists(
    st.tuples(
        st.sampled_from([*NAMES, "another.mp4", "zzz.mp4"]),
        st.sampled_from(["own", "other", "foreign"]),
        st.sampled_from(["row", "doubtful row", "failure"]),
    ),
    max_size=40,
)


def plan_of(wanted: int) -> ExtractionPlan:
    return ExtractionPlan(
        corpus="k150ka", fingerprint="own", accepted=["other"], scoring={}, wanted=wanted, due=0,
        done_before=0, recovered=0, clips_without_label=[], labels_without_clip=[], bad_labels=[],
        changed_clips=[], unknown_files=0, superseded={}, torn_lines=0, broken_lines=[],
        started_at=0.0,
    )  # fmt: skip


def parts_of(names: list[str], size: int) -> list[pa.Table]:
    return [
        pa.table({"clip_name": names[at : at + size], "mos": [1.5] * len(names[at : at + size])})
        for at in range(0, len(names), size)
    ]


def write_journal(journal: Journal, written: list[tuple[str, str, str]]) -> None:
    """Write one file per fingerprint; each row has values of its own."""
    journal.folder.mkdir(exist_ok=True)
    for path in journal.own_files():
        path.unlink()
    for shard, key in enumerate(("own", "other", "foreign")):
        header = encode_header(key, {"key": key}, {})
        body = [_line(n, *line) for n, line in enumerate(written) if line[1] == key]
        (journal.folder / f"shard-{shard}.jsonl").write_bytes(b"".join([header, *body]))


def _line(number: int, clip: str, key: str, kind: str) -> bytes:
    if kind == "failure":
        failure = Failure("decode", "corrupt", str(number))
        return encode_entry(Entry(clip, key, 1, float(number), 0.1, None, failure))
    payload = {"width": number + 1, "height": 8, "frames": 1, "values": [number / 7] * 44}
    doubt = {"doubt": "cut"} if kind == "doubtful row" else {}
    return encode_entry(
        Entry(clip, key, 1, float(number), 0.1, encode_payload({**payload, **doubt}), None)
    )


def found_in(gathered: Gathered) -> tuple[object, ...]:
    table = pa.concat_tables(gathered.parts).to_pylist()
    rest = gathered.rows, gathered.by_fingerprint, gathered.doubtful, gathered.failed
    return repr(table), list(gathered.names()), *rest


@given(lines, st.integers(1, 11))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_several_parts_have_the_rows_of_one(tmp_path, monkeypatch, written, size):
    monkeypatch.setattr(spill, "BUFFERED", 1)
    monkeypatch.setattr(spill, "_LEAST", 100)
    journal = Journal(tmp_path / "journal", tmp_path / "out.parquet")
    write_journal(journal, written)
    whole = gather(plan_of(len(NAMES)), parts_of(NAMES, len(NAMES)), journal)
    parted = gather(plan_of(len(NAMES)), parts_of(NAMES, size), journal)
    assert len(parted.parts) == -(-len(NAMES) // size)
    assert found_in(parted) == found_in(whole)
    done = {c for c, key, kind in written if key != "foreign" and kind != "failure"}
    failed = {c for c, key, kind in written if key == "own" and kind == "failure"}
    assert list(whole.names()) == sorted(done & set(NAMES))
    assert whole.failed == sorted((failed - done) & set(NAMES))


def test_parts_are_saved_as_row_groups_of_one_file_with_its_metadata(tmp_path):
    journal = Journal(tmp_path / "journal", tmp_path / "out.parquet")
    write_journal(journal, [(name, "own", "row") for name in NAMES])
    saved = {}
    for size in (5, len(NAMES)):
        rows = gather(plan_of(len(NAMES)), parts_of(NAMES, size), journal)
        path = tmp_path / f"{size}.parquet"
        features = features_table(rows, journal).to_save()
        AtomicParquetDataset(filepath=str(path)).save(features)
        saved[size] = pq.read_table(path)
        with pq.ParquetFile(path) as file:
            assert file.num_row_groups == -(-len(NAMES) // size)
    assert saved[5].equals(saved[len(NAMES)], check_metadata=True)


def test_a_spill_has_no_name_and_gives_every_bucket_back(tmp_path, monkeypatch):
    monkeypatch.setattr(spill, "BUFFERED", 8)
    monkeypatch.setattr(spill, "_LEAST", 4)
    with Spill(3, tmp_path / "new") as spilled:
        for number in range(100):
            spilled.add(number % 2, b"%d " % number)
        assert list((tmp_path / "new").iterdir()) == []
        for bucket in (1, 0):
            chunks = list(spilled.read(bucket))
            assert b"".join(chunks) == b"".join(b"%d " % n for n in range(bucket, 100, 2))
            assert len(chunks) > 2 and all(chunk.endswith(b" ") for chunk in chunks)
        assert list(spilled.read(2)) == []


@pytest.mark.parametrize(("rows", "step"), [(0, 1), (1, 1), (10, 1), (11, 2), (35, 4)])
def test_rows_of_a_page_are_spread_evenly(tmp_path, monkeypatch, rows, step):
    monkeypatch.setattr("k150k_pipeline.pipelines.feature_extraction.feature_file._ROWS", 3)
    names = [f"{number:03d}" for number in range(rows)]
    columns = {name: [0.5] * rows for name in ("mos", "width", "height", *VALUE_COLUMNS)}
    path = tmp_path / "features.parquet"
    pq.write_table(pa.table({"clip_name": pa.array(names, pa.string()), **columns}), path)
    table, counted = read_back(path, 10)
    assert (table["clip_name"].to_pylist(), counted) == (names[::step], rows)
    assert list(read_names(path)) == names


MERGE = """
import re, sys
from pathlib import Path
from k150k_pipeline.datasets import FeaturesDataset
from k150k_pipeline.journal import Journal
from k150k_pipeline.pipelines.clipwise import spill
from k150k_pipeline.pipelines.feature_extraction import feature_file
from k150k_pipeline.pipelines.feature_extraction.feature_file import read_back, read_names
from k150k_pipeline.pipelines.feature_extraction.gathering import gather
from k150k_pipeline.pipelines.feature_extraction.legacy import LegacyFiles
from k150k_pipeline.pipelines.feature_extraction.outputs import features_table
from tests.pipelines.test_gathering import parts_of, plan_of

spill.BUFFERED, feature_file._ROWS = 2**20, 2_000
root, clips, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
names = [f"{number:06d}.mp4" for number in range(clips)]
wanted = parts_of(names, size)
del names
Path("/proc/self/clear_refs").write_text("5")
before = int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
journal = Journal(root / "journal", root / "out.parquet")
rows = gather(plan_of(clips), wanted, journal)
FeaturesDataset(filepath=str(journal.output)).save(features_table(rows, journal).to_save())
assert read_back(journal.output, 100)[1] == clips
LegacyFiles(journal.output).write_done(read_names(journal.output))
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(peak - before)
"""


def growth(root: Path, clips: int, size: int) -> float:
    """Return by how many MiB the merge of a journal makes its process grow."""
    call = [sys.executable, "-c", MERGE, str(root), str(clips), str(size)]
    return int(subprocess.run(call, check=True, capture_output=True, text=True).stdout) / 1024


@pytest.mark.thorough
def test_memory_of_the_merge_does_not_grow_with_the_clips(tmp_path):
    for clips in (20_000, 80_000):
        journal = Journal(tmp_path / str(clips) / "journal", tmp_path / "none")
        journal.folder.mkdir(parents=True)
        payload = encode_payload({"width": 8, "height": 8, "frames": 1, "values": [1 / 3] * 44})
        with (journal.folder / "shard-0.jsonl").open("wb") as file:
            file.write(encode_header("own", {}, {}))
            for number in range(clips):
                name = f"{number * 7919 % clips:06d}.mp4"
                file.write(encode_entry(Entry(name, "own", 1, 1.0, 0.1, payload, None)))
    few, many = (growth(tmp_path / str(n), n, 4_000) for n in (20_000, 80_000))
    in_one_part = growth(tmp_path / "80000", 80_000, 80_000)
    assert many < few + 12, "MiB"
    assert in_one_part > many + 30, "MiB: or this test could not fail"
