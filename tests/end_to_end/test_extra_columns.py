"""A second table of facts that joins the features, without scoring anything again."""

from __future__ import annotations

import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import encode
from tests.support.older_script import newer_row, write_table

ASKED = "extract.extra_columns=fps+is_hdr"


@pytest.fixture
def corpus(project, tiny_clips):
    names = project.add_clips(tiny_clips)
    project.names, project.extra = names[:3], project.features.with_suffix(".extra.parquet")
    project.write_scores(dict.fromkeys(project.names, 3.2))
    return project


def test_the_table_has_a_row_per_row_of_the_features_which_stay_as_they_are(corpus):
    corpus.run()
    before = corpus.features.read_bytes()
    assert not corpus.extra.exists() and not (corpus.journal / "extra").exists()
    assert "0 due" in corpus.run(params=ASKED)
    assert corpus.features.read_bytes() == before
    table = pq.read_table(corpus.extra)
    assert table.schema.names == ["clip_name", "fps", "is_hdr"]
    assert table.schema.types == [pa.string(), pa.float64(), pa.bool_()]
    assert table.to_pydict() == {
        "clip_name": corpus.names, "fps": [25.0] * 3, "is_hdr": [False] * 3,
    }  # fmt: skip
    first = corpus.extra.read_bytes()
    assert "Reading fps" not in corpus.run(params=ASKED)
    assert corpus.extra.read_bytes() == first


def test_rows_whose_clips_are_gone_have_null_with_a_warning(corpus, tmp_path):
    gone, taken = corpus.names[0], corpus.names[1]
    write_table(corpus.features, [newer_row(gone), newer_row(taken)])
    moved = shutil.move(corpus.clips / gone, tmp_path / gone)
    output = corpus.run(params=f"{ASKED},extract.workers=2")
    assert "1 rows have no extra columns" in output and "1 missing" in output
    extra = pd.read_parquet(corpus.extra).set_index("clip_name")
    assert pd.isna(extra.loc[gone]).all() and extra.loc[taken, "fps"] == 25
    shutil.move(moved, corpus.clips / gone)
    output = corpus.run(params="extract.extra_columns=is_hdr")
    assert "of 1 clips" in output and "no extra columns" not in output
    assert list(pd.read_parquet(corpus.extra).columns) == ["clip_name", "is_hdr"]


@pytest.mark.thorough
def test_workers_write_the_same_table(corpus):
    corpus.run(params=ASKED, default_runner=True)
    by_workers = corpus.extra.read_bytes()
    corpus.extra.unlink()
    shutil.rmtree(corpus.journal / "extra")
    corpus.run(params=ASKED)
    assert corpus.extra.read_bytes() == by_workers


def test_a_table_of_others_in_its_place_is_kept(corpus):
    write_table(corpus.extra, [newer_row(corpus.names[0])])
    theirs = corpus.extra.read_bytes()
    output = corpus.run(params=ASKED)
    kept = corpus.extra.with_name(f"{corpus.extra.name}.original")
    assert f"{corpus.extra.name} is kept as {kept.name} and replaced" in " ".join(output.split())
    assert kept.read_bytes() == theirs
    assert pd.read_parquet(corpus.extra)["fps"].tolist() == [25.0] * 3


def test_an_unknown_column_is_refused_by_name(corpus):
    output = corpus.run(params="extract.extra_columns=fps+bitrate", ok=False)
    assert "extract.extra_columns" in output and "bitrate" in output
    assert "Traceback" not in output


def test_a_poisonous_clip_costs_its_own_values(corpus):
    corpus.run()
    clip = corpus.clips / corpus.names[0]
    clip.unlink()
    encode(clip, "testsrc2=s=256x256:r=25:d=0.24", "-pix_fmt", "yuv420p")
    clip.write_bytes(clip.read_bytes()[:2000])
    output = corpus.run(params=f"{ASKED},extract.on_clip_change=keep")
    assert "1 rows have no extra columns" in output and "Traceback" not in output
    assert pd.read_parquet(corpus.extra)["fps"].isna().tolist() == [True, False, False]
