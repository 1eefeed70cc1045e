"""Extract with more rows than one file takes: its table is a folder, and all else is the same."""

from __future__ import annotations

import json
import shutil

import pyarrow.parquet as pq
import pytest

from tests.conftest import Project

PARTED = "rows_per_file=3"


@pytest.fixture
def corpus(project, tiny_clips) -> Project:
    project.names = sorted(project.add_clips(tiny_clips))
    return project


def sizes(project: Project) -> list[int]:
    assert project.features.is_symlink()
    return [pq.read_metadata(part).num_rows for part in sorted(project.features.iterdir())]


def hidden(project: Project) -> list[str]:
    return [path.name for path in project.features.parent.glob(".*.parts")]


def test_the_table_of_many_files_has_the_rows_of_the_one_file(corpus):
    corpus.run()
    whole, one_file = corpus.table(), corpus.features.read_bytes()
    card_file = corpus.features.with_suffix(".data_card.md")
    done, card = corpus.done.read_bytes(), card_file.read_bytes()
    corpus.run(params=PARTED)
    assert sizes(corpus) == [3, 3, 2] and len(hidden(corpus)) == 1
    assert corpus.table().equals(whole)
    assert corpus.done.read_bytes() == done
    assert card_file.read_bytes() == card
    assert json.loads(corpus.report.read_text())["counts"]["rows"] == 8
    corpus.run(params=PARTED)
    assert sizes(corpus) == [3, 3, 2] and len(hidden(corpus)) == 1
    corpus.run()
    assert corpus.features.read_bytes() == one_file and hidden(corpus) == []


def test_a_lost_journal_is_made_again_from_the_folder(corpus):
    corpus.run(params=PARTED)
    before = corpus.table()
    shutil.rmtree(corpus.journal)
    assert "Took over" in corpus.run(params=PARTED)
    assert corpus.table().equals(before) and sizes(corpus) == [3, 3, 2]


def test_a_damaged_part_is_kept_and_made_again(corpus):
    corpus.run(params=PARTED)
    before = corpus.table()
    damaged = sorted(corpus.features.iterdir())[1]
    damaged.write_bytes(damaged.read_bytes()[:-9])
    content = damaged.read_bytes()
    assert "is damaged" in corpus.run(params=PARTED)
    assert corpus.table().equals(before)
    kept = corpus.features.with_name(f"{corpus.features.name}.damaged-1")
    assert (kept / damaged.name).read_bytes() == content


def test_a_folder_of_somebody_else_is_no_output(corpus):
    corpus.features.mkdir(parents=True)
    (corpus.features / "mine.parquet").write_bytes(b"PAR1")
    assert "is a folder: give the place of a file" in corpus.run(ok=False, params=PARTED)
    assert (corpus.features / "mine.parquet").read_bytes() == b"PAR1"


@pytest.mark.parametrize("given", ["0", "many"])
def test_a_size_that_is_none_is_refused_in_one_sentence(corpus, given):
    output = corpus.run(ok=False, params=f"rows_per_file={given}")
    assert f"rows_per_file is {given!r}" in output or f"rows_per_file is {given}" in output
    assert "Traceback" not in output


def test_the_next_pipelines_read_the_folder(corpus):
    corpus.run(params=PARTED)
    features = corpus.features.relative_to(corpus.root)
    params = f"--params=features={features},{PARTED},{sidecar(corpus)}"
    corpus.kedro("run", "--pipelines=enrich", params)
    assert corpus.table()["content_id"].tolist() == [name[:9] for name in corpus.names]
    assert sizes(corpus) == [3, 3, 2] and len(hidden(corpus)) == 1


def sidecar(project: Project) -> str:
    path = project.root / "sidecar.jsonl"
    rows = [{"src": name, "content_id": name[:9]} for name in project.names]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"enrich.metadata_jsonl={path}"
