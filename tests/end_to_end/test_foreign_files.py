"""Whole runs of extract over what the 57-column script left."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.support.older_script import hashes, newer_row, write_staging, write_table


@pytest.fixture
def corpus(project, tiny_clips):
    project.names = project.add_clips(tiny_clips)[:3]
    project.write_scores(dict.fromkeys(project.names, 3.2))
    return project


@pytest.mark.sample(every=2)
@pytest.mark.parametrize("done", [False, True], ids=["without .done", "with .done"])
@pytest.mark.parametrize("staged", [False, True], ids=["parquet", "staging"])
def test_rows_are_used_and_files_are_kept(corpus, staged, done):
    folder, first = corpus.features.parent, corpus.names[0]
    folder.mkdir(parents=True)
    if staged:
        write_staging(corpus.features.with_suffix(".rows.jsonl"), [newer_row(first)])
    else:
        write_table(corpus.features, [newer_row(first)])
    if done:
        corpus.done.write_text(f"{first}\n")
    foreign = hashes(folder)
    assert "Took over 1 rows" in corpus.run()
    table = corpus.table().set_index("clip_name")
    assert list(table.index) == corpus.names and table.columns.size == 47
    assert table.loc[first, "cambi_mean"] == 7.25 and (table["ssimulacra2_mean"] == 100).all()
    assert foreign <= hashes(folder)
    further = pd.read_parquet(folder / "full_features_k150k.further_columns.parquet")
    assert further["speed_temporal_mean"].tolist() == [0.125]
    after = hashes(folder)
    assert "Took over" not in corpus.run()
    assert hashes(folder) == after


def test_a_refused_run_changes_nothing_and_names_the_ways_on(corpus):
    write_table(corpus.features, [newer_row(corpus.names[0], is_hdr=True)])
    foreign = hashes(corpus.features.parent)
    output = " ".join(corpus.run(ok=False).split())
    assert "1 of its 1 rows" in output and "is_hdr" in output and "Traceback" not in output
    assert "extract.legacy=take_over_what_fits" in output
    assert not any(corpus.journal.glob("shard-*"))
    corpus.run(params="extract.legacy=take_over_what_fits")
    assert len(corpus.table()) == 3 and foreign <= hashes(corpus.features.parent)
