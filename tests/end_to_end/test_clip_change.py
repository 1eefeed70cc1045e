"""A clip that is another file than the one that its row was made from."""

from __future__ import annotations

import json
import os
import shutil

import pandas as pd
import pytest

from k150k_pipeline.journal.records import decode_entry, decode_line, encode_entry
from tests.conftest import encode


@pytest.fixture
def corpus(project, tiny_clips):
    """Return a project of four clips with rows; each clip is a file of its own."""
    names = project.add_clips(tiny_clips)[:4]
    project.write_scores(dict.fromkeys(names, 3.0))
    for path in project.clips.iterdir():
        if path.name in names:
            shutil.copy(path, path.with_suffix(".copy"))
            path.with_suffix(".copy").replace(path)
    project.run()
    project.names = names
    return project


@pytest.fixture
def other_clip(tmp_path):
    return encode(
        tmp_path / "other.mp4", "mandelbrot=s=256x256:r=25", "-t", "0.24", "-pix_fmt", "yuv420p"
    )


def counts(project) -> dict[str, int]:
    return json.loads(project.report.read_text())["counts"]


def replace(project, name, file):
    shutil.copy(file, project.clips / "new")
    (project.clips / "new").replace(project.clips / name)


def test_replaced_clip_is_scored_again_and_the_others_are_not(corpus, other_clip):
    before, first = corpus.table(), corpus.names[0]
    replace(corpus, first, other_clip)
    output = corpus.run()
    assert f"1 ({first}) of the clips are not the files" in output
    assert counts(corpus)["changed_clips"] == counts(corpus)["newly_finished"] == 1
    table = corpus.table()
    assert table[1:].equals(before[1:])
    assert table["motion_mean"][0] != before["motion_mean"][0]
    shutil.rmtree(corpus.journal)
    corpus.features.unlink()
    corpus.done.unlink()
    corpus.run()
    assert corpus.table().equals(table), "not the row of a run that never saw the earlier file"


@pytest.mark.thorough
def test_extra_columns_follow_the_clip(corpus, tmp_path):
    """At first the clips have 25 frames per second, then one has 50."""
    first, extra = corpus.names[0], "extract.extra_columns=fps+is_hdr"
    faster = encode(tmp_path / "f.mp4", "testsrc2=s=256x256:r=50:d=0.24", "-pix_fmt", "yuv420p")
    for rate, params in ((25, extra), (25, f"{extra},extract.on_clip_change=keep"), (50, extra)):
        corpus.run(params=params)
        table = pd.read_parquet(corpus.features.with_suffix(".extra.parquet"))
        assert table["fps"].tolist() == [rate, 25, 25, 25]
        replace(corpus, first, faster)


def test_row_follows_the_file_back_and_forth_without_another_score(corpus, other_clip, tmp_path):
    first = corpus.names[0]
    original = shutil.copy(corpus.clips / first, tmp_path / "original.mp4")
    tables = {original: corpus.features.read_bytes()}
    replace(corpus, first, other_clip)
    corpus.run()
    tables[other_clip] = corpus.features.read_bytes()
    for file in (original, other_clip, original):
        replace(corpus, first, file)
        output = corpus.run()
        assert corpus.features.read_bytes() == tables[file]
        assert counts(corpus)["newly_finished"] == counts(corpus)["changed_clips"] == 0, output
    (corpus.clips / first).unlink()
    corpus.run()
    assert corpus.features.read_bytes() == tables[other_clip], "not the latest row"


def test_clip_replaced_by_garbage_has_no_row_until_it_is_back(corpus, tmp_path):
    first, before = corpus.names[0], corpus.features.read_bytes()
    original = shutil.copy2(corpus.clips / first, tmp_path / "original.mp4")
    for content in (b"", b"garbage", os.urandom(original.stat().st_size)):
        (corpus.clips / first).write_bytes(content)
        corpus.run(params="extract.max_failure_rate=1")
        assert corpus.table()["clip_name"].tolist() == corpus.names[1:]
        assert pd.read_csv(corpus.failures)["clip_name"].tolist() == [first]
    replace(corpus, first, original)
    corpus.run()
    assert corpus.features.read_bytes() == before
    assert counts(corpus)["newly_finished"] == 0


def test_clip_that_was_given_up_is_tried_anew_once_it_is_another_file(corpus, tmp_path):
    """As when a run begins while clips are still being copied."""
    first, before = corpus.names[0], corpus.features.read_bytes()
    original = shutil.copy2(corpus.clips / first, tmp_path / "original.mp4")
    shutil.rmtree(corpus.journal)
    corpus.features.unlink()
    corpus.done.unlink()
    few = "extract.max_failure_rate=1,extract.max_attempts=2"
    for size, tries in ((400, 1), (400, 2), (400, 2), (800, 1), (800, 2)):
        (corpus.clips / first).write_bytes(original.read_bytes()[:size])
        corpus.run(params=few)
        failed = pd.read_csv(corpus.failures).iloc[0]
        assert (failed["clip_name"], failed["attempts"]) == (first, tries)
        assert failed["given_up"] == (tries == 2)
    replace(corpus, first, original)
    assert "1 of the clips that failed are other files now" in corpus.run(params=few)
    assert corpus.features.read_bytes() == before and pd.read_csv(corpus.failures).empty
    assert "are other files now" not in corpus.run(params=few)


def test_clip_with_another_time_and_the_same_bytes_keeps_its_row(corpus):
    before = corpus.features.read_bytes()
    for name in corpus.names:
        os.utime(corpus.clips / name)
    corpus.run()
    assert corpus.features.read_bytes() == before
    assert counts(corpus)["newly_finished"] == counts(corpus)["changed_clips"] == 0
    noted = (corpus.journal / "same_bytes.jsonl").read_text().splitlines()
    assert [json.loads(line)["clip"] for line in noted] == corpus.names


@pytest.mark.sample(every=2)
@pytest.mark.parametrize("choice", ["refuse", "keep"])
def test_changed_clips_are_refused_or_kept_on_request(corpus, other_clip, choice):
    before, first = corpus.features.read_bytes(), corpus.names[0]
    replace(corpus, first, other_clip)
    output = corpus.run(params=f"extract.on_clip_change={choice}", ok=choice == "keep")
    assert corpus.features.read_bytes() == before
    if choice == "refuse":
        assert f"Error: 1 ({first}) of the clips" in output
        assert "extract.on_clip_change=rescore" in output and "Traceback" not in output
    else:
        assert counts(corpus)["newly_finished"] == 0


def test_rows_that_do_not_record_their_file_are_kept_and_counted(corpus, other_clip):
    """As they are in a journal of an earlier version."""
    for path in corpus.journal.glob("shard-*"):
        header, *lines = path.read_bytes().splitlines(keepends=True)
        key = decode_line(header)[0]["fingerprint"]
        entries = [decode_entry(line, key) for line in lines]
        old = [
            encode_entry(type(e)(*(getattr(e, n) for n in e.__match_args__[:-1]))) for e in entries
        ]
        path.write_bytes(header + b"".join(old))
    before = corpus.features.read_bytes()
    replace(corpus, corpus.names[0], other_clip)
    corpus.run()
    assert corpus.features.read_bytes() == before
    assert counts(corpus)["unknown_files"] == 4 and counts(corpus)["changed_clips"] == 0
