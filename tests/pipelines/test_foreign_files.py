"""Files of the older script: rows that fit are used, and no byte that we did not write is lost."""

from __future__ import annotations

import itertools
import json
import math
import random

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from k150k_pipeline.errors import InputError, LostRowsError
from k150k_pipeline.journal import Journal
from k150k_pipeline.pipelines.feature_extraction.foreign_files import is_ours
from k150k_pipeline.pipelines.feature_extraction.foreign_rows import fit
from k150k_pipeline.pipelines.feature_extraction.legacy import (
    FINGERPRINT,
    NEWER_FINGERPRINT,
    LegacyFiles,
)
from k150k_pipeline.schemas.features import COLUMNS, VALUE_COLUMNS
from tests.support.older_script import (
    hash_of,
    hashes,
    newer_row,
    older_row,
    run_without_engine,
    write_staging,
    write_table,
)

CLIPS = ("a.mp4", "b.mp4", "c.mp4")
HDR = {"is_hdr": True, "cambi_mean": math.nan, "cambi_std": math.nan}
FAST = {"fps": 60.0, "motion_fps_weight": 0.5, "motion_mean": math.nan, "motion_std": math.nan}


@pytest.fixture
def journal(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return Journal(tmp_path / "journal", folder / "features.parquet")


@pytest.fixture
def beside(journal):
    """Return the files beside the output: .done, and both spellings of the staging file."""
    return LegacyFiles(journal.output)


def table(journal) -> pd.DataFrame:
    return pd.read_parquet(journal.output).set_index("clip_name")


def names_beside(journal) -> set[str]:
    return {path.name for path in journal.output.parent.iterdir()}


def test_a_newer_row_has_57_columns_and_fits():
    row = newer_row("a.mp4")
    assert len(row) == 57
    payload, misfit = fit(row)
    assert misfit == {}
    values = dict(zip(VALUE_COLUMNS, payload["values"], strict=True))
    assert (values["ssimulacra2_mean"], values["ssimulacra2_std"]) == (100.0, 0.0)
    assert math.isnan(values["ciede2000_mean"]) and values["cambi_mean"] == 7.25


@pytest.mark.parametrize(
    ("changes", "columns"),
    [
        (HDR, ["cambi_mean", "cambi_std", "is_hdr"]),
        ({"is_hdr": True}, ["is_hdr"]),
        ({"is_hdr": None}, ["is_hdr"]),
        (FAST, ["motion_mean", "motion_std", "motion_fps_weight"]),
        ({"vmaf_mean": 88.0}, ["vmaf_mean"]),
        ({"psnr_y_mean": 41.0}, ["psnr_y_mean"]),
        ({"float_ssim_mean": 0.98}, ["float_ssim_mean"]),
        ({"cambi_mean": "7.25"}, ["cambi_mean"]),
        ({"cambi_mean": True}, ["cambi_mean"]),
        ({"cambi_mean": math.inf}, ["cambi_mean"]),
        ({"cambi_mean": 10**400}, ["cambi_mean"]),
        ({"width": 0}, ["width"]),
        ({"width": 2**40}, ["width"]),
        ({"height": math.nan}, ["height"]),
        ({"clip_name": " "}, ["clip_name"]),
        ({"clip_name": 7}, ["clip_name"]),
        ({"clip_name": "\ud800.mp4"}, ["clip_name"]),
        ({"ssimulacra2_mean": 100.0}, ["ssimulacra2_std"]),
    ],
)
def test_a_row_that_does_not_fit_names_its_columns(changes, columns):
    payload, misfit = fit(newer_row("a.mp4", **changes))
    assert payload is None
    assert list(itertools.chain(*misfit.values())) == columns


@pytest.mark.parametrize("column", [c for c in newer_row("a.mp4") if c in COLUMNS and c != "mos"])
def test_a_row_without_a_column_does_not_fit(column):
    row = newer_row("a.mp4")
    del row[column]
    assert fit(row) == (None, {"missing, empty or of another type": [column]})


def test_a_form_without_options_fits():
    row = newer_row("a.mp4")
    for column in ("fps", "is_hdr", "motion_fps_weight"):
        del row[column]
    assert fit(row)[0] is not None


def test_a_newer_parquet_is_taken_over_and_kept(journal, beside):
    write_table(journal.output, [newer_row("a.mp4"), newer_row("b.mp4", cambi=8.5, fps=25.0)])
    beside.done_path.write_text("b.mp4\na.mp4\n")
    foreign = hashes(journal.output.parent)
    report = run_without_engine(journal, CLIPS)
    assert (report["counts"]["recovered"], report["counts"]["newly_finished"]) == (2, 1)
    rows = report["rows_scored_with"]
    assert rows[NEWER_FINGERPRINT]["rows"] == 2 and FINGERPRINT not in rows
    assert list(table(journal)["cambi_mean"]) == [7.25, 8.5, 0.5]
    assert list(table(journal)["ssimulacra2_mean"]) == [100.0, 100.0, 0.5]
    assert foreign <= hashes(journal.output.parent)
    assert names_beside(journal) == {
        "features.parquet", "features.done", "features.parquet.original",
        "features.done.original", "features.further_columns.parquet",
    }  # fmt: skip
    after = hashes(journal.output.parent)
    run_without_engine(journal, CLIPS)
    assert hashes(journal.output.parent) == after


def test_further_columns_can_be_joined(journal):
    rows = [newer_row("b.mp4", fps=25.0, chug_bitladder="360p"), newer_row("a.mp4")]
    write_table(journal.output, rows)
    original = journal.output.read_bytes()
    run_without_engine(journal, CLIPS)
    path = journal.output.with_name("features.further_columns.parquet")
    further = pd.read_parquet(path).set_index("clip_name")
    assert list(further.columns) == [c for c in rows[0] if c not in COLUMNS]
    joined = table(journal).join(further)
    assert joined.loc["b.mp4", ["fps", "chug_bitladder"]].tolist() == [25.0, "360p"]
    assert not joined.loc["a.mp4", "is_hdr"] and math.isnan(joined.loc["c.mp4", "fps"])
    origin = json.loads(pq.read_schema(path).metadata[b"k150k"])
    assert origin["further_columns_of"] == "features.parquet"
    assert origin["sha256"] in hashes(journal.output.parent)
    assert journal.output.with_name("features.parquet.original").read_bytes() == original


def test_a_newer_staging_file_is_taken_over_and_kept(journal, beside):
    staging = beside.rows_paths[1]
    write_staging(staging, [newer_row("a.mp4"), newer_row("b.mp4", fps=25)], end='{"clip_na')
    beside.done_path.write_text("b.mp4\na.mp4\n")
    foreign = hashes(journal.output.parent)
    run_without_engine(journal, CLIPS)
    assert list(table(journal)["cambi_mean"]) == [7.25, 7.25, 0.5]
    assert foreign <= hashes(journal.output.parent)
    assert not staging.exists()
    further = pd.read_parquet(journal.output.with_name("features.further_columns.parquet"))
    assert further["fps"].tolist() == [30.0, 25.0]


def test_a_staging_file_of_48_columns_is_removed_when_its_rows_are_durable(journal, beside):
    for path in beside.rows_paths:
        write_staging(path, [older_row("a.mp4"), older_row("b.mp4", 8.5)])
    beside.done_path.write_text("a.mp4\nb.mp4\n")
    run_without_engine(journal, CLIPS)
    assert list(table(journal)["cambi_mean"]) == [7.25, 8.5, 0.5]
    assert names_beside(journal) == {"features.parquet", "features.done"}


@pytest.mark.parametrize(
    ("rows", "end"),
    [
        ([older_row("a.mp4")], '{"clip_name": "b.mp4", "cam'),
        ([older_row("a.mp4")], "\x00\x00\n"),
        ([older_row("a.mp4")], "[1, 2]\n"),
        ([], json.dumps(older_row("a.mp4"))[:-1] + ', "cambi_mean": 9}\n'),
        ([older_row("a.mp4"), older_row("a.mp4", 8.5)], ""),
        ([older_row("a.mp4"), older_row("no label.mp4")], ""),
        ([older_row("a.mp4") | {"note": "mine"}], ""),
        ([older_row("scored before.mp4")], ""),
    ],
    ids=[
        "torn",
        "binary",
        "no row",
        "key twice",
        "twice",
        "no label",
        "further column",
        "scored before",
    ],
)
def test_a_staging_file_with_anything_else_is_kept(journal, beside, rows, end):
    clips = ("a.mp4", "scored before.mp4")
    run_without_engine(journal, ["scored before.mp4"])
    write_staging(beside.rows_paths[0], rows, end)
    foreign = beside.rows_paths[0].read_bytes()
    run_without_engine(journal, clips)
    assert not beside.rows_paths[0].exists()
    kept = journal.output.with_name("features.parquet.rows.jsonl.original")
    assert kept.read_bytes() == foreign


def test_rows_that_come_during_a_run_wait_for_the_next(journal, beside, monkeypatch):
    write_staging(beside.rows_paths[0], [older_row("a.mp4")])
    write = LegacyFiles.write_done

    def write_while_the_older_script_runs(self, clips):
        write_staging(beside.rows_paths[0], [older_row("a.mp4"), older_row("d.mp4")])
        write(self, clips)

    monkeypatch.setattr(LegacyFiles, "write_done", write_while_the_older_script_runs)
    run_without_engine(journal, CLIPS)
    assert beside.rows_paths[0].exists()
    monkeypatch.undo()
    run_without_engine(journal, (*CLIPS, "d.mp4"))
    assert table(journal).loc["d.mp4", "cambi_mean"] == 7.25
    assert not beside.rows_paths[0].exists()


@pytest.mark.parametrize("staged", [False, True], ids=["parquet", "staging"])
def test_rows_that_do_not_fit_refuse_the_run_with_three_ways_on(journal, beside, staged):
    rows = [newer_row("a.mp4"), newer_row("b.mp4", **HDR), newer_row("c.mp4", **FAST)]
    if staged:
        write_staging(beside.rows_paths[1], rows)
    else:
        write_table(journal.output, rows)
    beside.done_path.write_text("a.mp4\nb.mp4\nc.mp4\n")
    foreign = hashes(journal.output.parent)
    with pytest.raises(InputError) as caught:
        run_without_engine(journal, CLIPS)
    message = str(caught.value)
    assert "2 of its 3 rows (such as that of b.mp4) do not fit" in message
    for column in ("cambi_mean", "motion_std", "is_hdr", "motion_fps_weight"):
        assert column in message
    for way in ("out=", "move the file", "extract.legacy=take_over_what_fits"):
        assert way in message
    assert message.count(". ") == 0, "it is one sentence"
    assert hashes(journal.output.parent) == foreign and not journal.own_files()
    run_without_engine(journal, CLIPS, "take_over_what_fits")
    assert list(table(journal)["cambi_mean"]) == [7.25, 0.5, 0.5]
    assert foreign <= hashes(journal.output.parent)
    after = hashes(journal.output.parent)
    run_without_engine(journal, CLIPS)
    assert hashes(journal.output.parent) == after


def test_a_later_version_of_the_script_is_refused(journal, beside):
    later = newer_row("a.mp4", adm3_mean=1.0, adm3_std=0.0)
    write_staging(beside.rows_paths[1], [newer_row("b.mp4"), later])
    with pytest.raises(InputError, match=r"version of the script.*: adm3_mean, adm3_std"):
        run_without_engine(journal, CLIPS)
    beside.rows_paths[1].unlink()
    write_table(journal.output, [later])
    foreign = hashes(journal.output.parent)
    with pytest.raises(InputError, match=r"version of the script.*: adm3_mean, adm3_std"):
        run_without_engine(journal, CLIPS)
    run_without_engine(journal, CLIPS, "take_over_what_fits")
    assert set(table(journal)["cambi_mean"]) == {0.5}
    assert foreign <= hashes(journal.output.parent)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"price": [1, 2]}),
        pd.DataFrame({"clip_name": ["a.mp4"], "mos": [3.0]}),
        pd.DataFrame([newer_row("a.mp4")]).drop(columns=["motion_mean", "motion_std"]),
        pd.DataFrame([newer_row("a.mp4")]).astype({"cambi_mean": str}),
        pd.DataFrame([older_row("a.mp4")]).drop(columns=["ssimulacra2_std"]),
    ],
    ids=["unrelated", "few columns", "without motion", "text", "half of ssimulacra2"],
)
def test_a_table_that_cannot_be_used_is_never_replaced_unasked(journal, frame):
    frame.to_parquet(journal.output)
    foreign = hashes(journal.output.parent)
    with pytest.raises(InputError, match="do not fit its columns"):
        run_without_engine(journal, CLIPS)
    assert hashes(journal.output.parent) == foreign
    run_without_engine(journal, CLIPS, "take_over_what_fits")
    assert len(table(journal)) == 3 and foreign <= hashes(journal.output.parent)


def test_a_column_that_is_there_twice_is_refused(journal):
    row = pa.Table.from_pylist([newer_row("a.mp4")])
    pq.write_table(row.append_column("cambi_mean", pa.array([9.0])), journal.output)
    with pytest.raises(InputError, match="there more than once: cambi_mean"):
        run_without_engine(journal, CLIPS)


def test_a_table_of_both_forms_is_judged_row_by_row(journal):
    rows = [older_row("a.mp4"), newer_row("b.mp4", 8.5), newer_row("c.mp4", **HDR)]
    write_table(journal.output, rows)
    with pytest.raises(InputError, match=r"1 of its 3 rows \(such as that of c\.mp4\)"):
        run_without_engine(journal, CLIPS)
    report = run_without_engine(journal, CLIPS, "take_over_what_fits")
    assert list(table(journal)["cambi_mean"]) == [7.25, 8.5, 0.5]
    assert list(table(journal)["ssimulacra2_mean"]) == [7.25, 100.0, 0.5]
    origins = {key: rows["rows"] for key, rows in report["rows_scored_with"].items()}
    assert origins == {FINGERPRINT: 1, NEWER_FINGERPRINT: 1, "f": 1}


def test_names_that_are_not_utf8_do_not_fit(journal):
    buffers = [None, pa.py_buffer(b"\0\0\0\0\3\0\0\0"), pa.py_buffer(b"\xff\xfea")]
    broken = pa.Array.from_buffers(pa.string(), 1, buffers)
    rows = pa.Table.from_pylist([newer_row("a.mp4")]).set_column(0, "clip_name", broken)
    pq.write_table(rows, journal.output)
    foreign = hashes(journal.output.parent)
    with pytest.raises(InputError, match="clip_name"):
        run_without_engine(journal, CLIPS)
    run_without_engine(journal, CLIPS, "take_over_what_fits")
    assert foreign <= hashes(journal.output.parent)


def test_columns_added_to_our_own_table_are_kept(journal):
    run_without_engine(journal, CLIPS)
    ours = pq.read_table(journal.output)
    pq.write_table(ours.append_column("sharpness_mean", pa.array([1.0, 2.0, 3.0])), journal.output)
    theirs = journal.output.read_bytes()
    run_without_engine(journal, CLIPS)
    assert pq.read_table(journal.output).equals(ours)
    assert journal.output.with_name("features.parquet.original").read_bytes() == theirs
    further = pd.read_parquet(journal.output.with_name("features.further_columns.parquet"))
    assert further["sharpness_mean"].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("description", "kept"),
    [
        (b'{"schema_version": 0, "rows_scored_with": {}}', False),
        (b'{"schema_version": 2, "rows_scored_with": {}}', True),
        (b'{"schema_version": 1}', True),
        (b"[]", True),
        (b"\xff", True),
    ],
    ids=["earlier", "later", "other keys", "a list", "no JSON"],
)
def test_only_a_table_with_our_metadata_is_ours(journal, description, kept):
    run_without_engine(journal, CLIPS)
    table = pq.read_table(journal.output).replace_schema_metadata({b"k150k": description})
    pq.write_table(table, journal.output)
    run_without_engine(journal, CLIPS)
    assert journal.output.with_name("features.parquet.original").exists() is kept


def test_rows_without_a_label_are_journaled_and_kept(journal):
    write_table(journal.output, [newer_row("a.mp4"), newer_row("no label.mp4")])
    foreign = hashes(journal.output.parent)
    run_without_engine(journal, CLIPS)
    assert "no label.mp4" in {entry.clip for entry in journal.entries()}
    assert list(table(journal).index) == list(CLIPS)
    assert foreign <= hashes(journal.output.parent)


def test_done_may_list_clips_whose_rows_do_not_fit_but_no_others(journal, beside):
    write_table(journal.output, [newer_row("a.mp4"), newer_row("b.mp4", **HDR)])
    beside.done_path.write_text("a.mp4\nb.mp4\nlost.mp4\n")
    with pytest.raises(LostRowsError, match=r"1 of them have no row .*lost\.mp4"):
        run_without_engine(journal, CLIPS, "take_over_what_fits")
    beside.done_path.write_text("a.mp4\nb.mp4\n")
    run_without_engine(journal, CLIPS, "take_over_what_fits")
    assert beside.done_path.read_text() == "a.mp4\nb.mp4\nc.mp4\n"


def test_a_kept_done_does_not_refuse_the_rerun_of_a_killed_run(journal, beside, monkeypatch):
    write_table(journal.output, [newer_row("a.mp4"), newer_row("fails.mp4", **HDR)])
    beside.done_path.write_text("a.mp4\nfails.mp4\n")
    foreign = hashes(journal.output.parent)

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(LegacyFiles, "write_done", die)
    with pytest.raises(KeyboardInterrupt):
        run_without_engine(journal, CLIPS, "take_over_what_fits")
    monkeypatch.undo()
    assert beside.done_path.read_text() == "a.mp4\nfails.mp4\n"
    run_without_engine(journal, CLIPS, "take_over_what_fits")
    assert beside.done_path.read_text() == "a.mp4\nb.mp4\nc.mp4\n"
    assert foreign <= hashes(journal.output.parent)


def test_done_with_clips_that_ours_lacks_is_kept(journal, beside):
    run_without_engine(journal, CLIPS)
    beside.done_path.write_text("c.mp4\nb.mp4\na.mp4\nelsewhere.mp4\n")
    run_without_engine(journal, CLIPS, "ignore")
    kept = beside.done_path.with_name("features.done.original")
    assert kept.read_text() == "c.mp4\nb.mp4\na.mp4\nelsewhere.mp4\n"


def test_our_own_done_is_replaced_when_labels_go(journal, beside):
    run_without_engine(journal, CLIPS)
    run_without_engine(journal, CLIPS[:2])
    assert beside.done_path.read_text() == "a.mp4\nb.mp4\n"
    assert names_beside(journal) == {"features.parquet", "features.done"}


def test_values_of_several_types_are_kept_as_text(journal, beside):
    rows = [newer_row("a.mp4", note=1), newer_row("b.mp4", note="x"), newer_row("c.mp4", big=2**80)]
    write_staging(beside.rows_paths[1], rows)
    run_without_engine(journal, CLIPS)
    further = pd.read_parquet(journal.output.with_name("features.further_columns.parquet"))
    assert further["note"].tolist() == ["1", '"x"', "null"]
    assert further["big"].tolist() == ["null", "null", str(2**80)]


def test_an_output_without_a_suffix_has_one_staging_file(journal):
    plain = Journal(journal.folder, journal.output.with_suffix(""))
    write_staging(plain.output.with_suffix(".rows.jsonl"), [newer_row("a.mp4")])
    foreign = hashes(plain.output.parent)
    run_without_engine(plain, CLIPS)
    assert foreign <= hashes(plain.output.parent)


def test_no_name_is_ever_taken_twice(journal, beside):
    for number in range(3):
        write_table(journal.output, [newer_row("a.mp4", speed_temporal_mean=number)])
        journal.output.with_name("features.parquet.original-3").write_text("somebody's")
        run_without_engine(journal, CLIPS)
    kept = [
        "features.parquet.original",
        "features.parquet.original-2",
        "features.parquet.original-4",
    ]
    numbers = [
        pd.read_parquet(journal.output.with_name(name))["speed_temporal_mean"].item()
        for name in kept
    ]
    assert numbers == [0, 1, 2]
    assert journal.output.with_name("features.parquet.original-3").read_text() == "somebody's"
    assert journal.output.with_name("features.further_columns-3.parquet").exists()


def leave_foreign_files(journal, draw: random.Random, number: int) -> set[str]:
    """Leave files as the older script does; return the hashes of those of 57 columns.

    It overwrites nothing of its own: that would be its loss, not ours.
    """
    beside = LegacyFiles(journal.output)
    newer = draw.random() < 0.7
    rows = [
        newer_row(clip, 7.0 + number) if newer else older_row(clip, 7.0 + number)
        for clip in (*draw.sample(CLIPS, 2), "other.mp4")
    ]
    rows[0] |= draw.choice([{}, {}, HDR, FAST]) if newer else {}
    where = draw.choice([journal.output, *beside.rows_paths])
    if where == journal.output and (not where.exists() or is_ours(where)):
        write_table(where, rows)
    elif where != journal.output and not where.exists():
        write_staging(where, rows, draw.choice(["", "", '{"torn', "[]\n"]))
    else:
        return set()
    if draw.random() < 0.6:
        beside.done_path.write_text("".join(f"{row['clip_name']}\n" for row in rows[::-1]))
    return {hash_of(where)} if newer else set()


@pytest.mark.sample(every=4)
@pytest.mark.parametrize("seed", range(40))
def test_no_order_of_runs_loses_a_byte(journal, seed):
    draw = random.Random(seed)
    folder, seen = journal.output.parent, set()
    for number in range(5):
        if draw.random() < 0.6:
            seen |= leave_foreign_files(journal, draw, number)
        clips = draw.sample(CLIPS, draw.choice([2, 3]))
        mode = draw.choice(["take_over", "take_over", "take_over_what_fits", "ignore"])
        other = Journal(folder / "../other", folder / "other.parquet")
        target = draw.choice([journal, journal, journal, other])
        try:
            run_without_engine(target, clips, mode)
        except (InputError, LostRowsError):
            pass
        else:
            assert sorted(table(target).index) == sorted(clips)
        assert seen <= hashes(folder)
