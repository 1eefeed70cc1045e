"""Checkpoints of the older script are taken over, and its losses are not confirmed."""

from __future__ import annotations

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from k150k_pipeline.schemas.features import VALUE_COLUMNS


def old_row(name: str, value: float) -> dict:
    values = {c: None if "ciede" in c else value for c in VALUE_COLUMNS}
    return {"clip_name": name, "mos": 3.0, "width": 960, "height": 540, **values}


@pytest.fixture
def corpus(project, tiny_clips):
    project.names = project.add_clips(tiny_clips)
    project.features.parent.mkdir(parents=True)
    project.rows = project.features.with_name(project.features.name + ".rows.jsonl")
    return project


def leave(project, done: list[str], rows: list[str]) -> None:
    project.done.write_text("".join(f"{name}\n" for name in done))
    lines = [json.dumps(old_row(name, 7.25)) + "\n" for name in rows]
    project.rows.write_text("".join(lines) + '{"clip_name": "torn')


def test_rows_of_a_crashed_run_are_taken_over(corpus):
    old = corpus.names[:3]
    leave(corpus, old, old)
    output = corpus.run()
    assert "Took over 3 rows" in output
    table = corpus.table().set_index("clip_name")
    assert len(table) == 8
    assert (table.loc[old, "cambi_mean"] == 7.25).all()
    assert (table.loc[corpus.names[3:], "cambi_mean"] != 7.25).all()
    assert table.loc[old, "ciede2000_mean"].isna().all()
    assert corpus.done.read_text().splitlines() == corpus.names
    assert not corpus.rows.exists()
    before = corpus.features.read_bytes()
    corpus.run()
    assert corpus.features.read_bytes() == before


def test_rows_of_the_older_script_can_be_scored_again_instead(corpus):
    leave(corpus, corpus.names[:3], corpus.names[:3])
    corpus.run(params="extract.legacy=ignore")
    assert len(corpus.table()) == 8 and not (corpus.table()["cambi_mean"] == 7.25).any()
    assert corpus.rows.exists()


def test_finished_clips_without_a_row_are_refused_with_their_number(corpus):
    leave(corpus, corpus.names, corpus.names[:6])
    output = corpus.run(ok=False)
    assert "lists 8 clips, but 2 of them have no row" in output
    assert corpus.names[7] in output and "Traceback" not in output
    assert corpus.done.read_text().splitlines() == corpus.names
    assert corpus.rows.exists() and not corpus.features.exists()
    corpus.done.write_text("".join(f"{name}\n" for name in corpus.names[:6]))
    corpus.run()
    assert len(corpus.table()) == 8


def test_parquet_of_the_older_script_is_taken_over(corpus):
    rows = [old_row(name, 7.25) for name in corpus.names[:5]]
    pq.write_table(pa.Table.from_pylist(rows), corpus.features)
    leave(corpus, corpus.names[:6], corpus.names[5:6])
    corpus.run()
    assert len(corpus.table()) == 8
    assert (corpus.table()["cambi_mean"] == 7.25).sum() == 6


def test_a_lost_journal_is_rebuilt_from_the_parquet(corpus):
    corpus.run()
    before = corpus.features.read_bytes()
    for path in corpus.journal.glob("shard-*"):
        path.unlink()
    output = corpus.run()
    assert "Took over 8 rows" in output and "8 done, 0 due" in output
    assert corpus.features.read_bytes() == before


def test_a_parquet_that_lost_rows_is_made_whole_from_the_journal(corpus):
    corpus.run()
    before = corpus.features.read_bytes()
    table = pq.read_table(corpus.features).slice(0, 4)
    pq.write_table(table, corpus.features)
    corpus.run()
    assert corpus.features.read_bytes() == before
    assert len(pd.read_parquet(corpus.features)) == 8
