"""The report pages of real runs: their numbers are those of the files beside them."""

from __future__ import annotations

import json
from collections import Counter

import pandas as pd
import pytest

from k150k_pipeline.datasets import AtomicPlotlyDataset
from k150k_pipeline.reports.extract import FIGURES
from k150k_pipeline.reports.figures import one_at_a_time
from tests.support.pages import ReadPage


@pytest.fixture
def run(project, tiny_clips):
    project.names = project.add_clips(tiny_clips)
    clip = project.clips / project.names[0]
    clip.unlink()  # a link to the clip of all tests
    clip.write_bytes(b"no clip")
    project.page = project.report.with_suffix(".html")
    project.output = project.run(params="extract.max_failure_rate=0.5")
    return project


def test_the_page_of_extract_has_the_numbers_of_report_features_and_failures(run):
    page = ReadPage(run.page.read_text())
    report, table = json.loads(run.report.read_text()), run.table()
    assert page.data["facts"]["report"] == report
    for column, found in page.data["facts"]["features"].items():
        assert found["lowest"] == table[column].min() and found["highest"] == table[column].max()
        assert found["median"] == table[column].median()
    assert sum(page.data["figures"]["mos"]["data"][0]["y"]) == len(table)
    failures = pd.read_csv(run.failures)
    assert [(why, int(n), names) for why, n, names in page.tables["Failed clips"]] == [
        (why, n, run.names[0]) for why, n in Counter(failures["reason"]).items()
    ]
    assert len(page.tables["Slowest clips"]) == len(table)
    assert "cannot be drawn" not in page.text and "does not add up" not in page.text


def test_each_figure_is_a_file_of_its_own_as_on_the_page(run):
    on_page = ReadPage(run.page.read_text()).data["figures"]
    assert set(on_page) == set(FIGURES)
    for name in FIGURES:
        dataset = AtomicPlotlyDataset(filepath=str(run.report), figure=name)
        assert dataset.preview() == one_at_a_time(on_page[name])
        assert json.loads(dataset.load().to_json(engine="json")) == on_page[name]
    assert "_figures" not in run.output


def test_too_many_failures_are_an_error_after_the_page_is_drawn(run):
    run.page.unlink()
    output = run.run(params="extract.max_failure_rate=0.01", ok=False)
    assert "clips failed" in output and "Traceback" not in output
    assert "1 failed" in ReadPage(run.page.read_text()).text


def test_a_page_of_somebody_else_is_kept(run):
    run.page.write_text("<p>mine</p>")
    run.run(params="extract.max_failure_rate=0.5")
    files = (path for path in run.page.parent.iterdir() if path.is_file())
    kept = [path.name for path in files if path.read_bytes() == b"<p>mine</p>"]
    assert len(kept) == 1 and "k150k-pipeline" in run.page.read_text()[:200]


def test_a_page_that_cannot_be_written_loses_no_row(run):
    rows = run.table()
    run.page.unlink()
    run.page.mkdir()
    output = run.run(params="extract.max_failure_rate=0.5", ok=False)
    assert "is a folder" in output and "Traceback" not in output
    assert run.table().equals(rows)
