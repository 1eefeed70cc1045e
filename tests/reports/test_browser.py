"""The four pages in a real browser: all is drawn; nothing is cut off, logged or asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from k150k_pipeline.reports import Page, render
from k150k_pipeline.reports.extract import Extracted, extract_page
from k150k_pipeline.reports.mos_head import mos_head_page
from k150k_pipeline.schemas.mos_parameters import MosHeadParameters
from tests.reports import test_fr_from_nr, test_mos_head, test_run_pages
from tests.support.browser import BROWSER, look, open_browser, schemes_and_widths

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is installed"),
]


def of_extract() -> Page:
    frame = test_run_pages.table_of(200).assign(
        **{name: range(200) for name in ("cambi_mean", "motion2_mean", "vmaf_mean", "vmaf_std")}
    )
    report = test_run_pages.report_of(200, failed=3)
    return extract_page(
        Extracted(report, frame, test_run_pages.times_of(frame), {"timeout": ["a.mp4"]}, {})
    )


def of_ingest() -> Page:
    rows = [test_run_pages.corpus_row(f"{n}.mp4", width=960 + n % 20) for n in range(40)]
    return test_run_pages.ingest_page_of(rows)


def of_fr() -> Page:
    table = [row for preset in ("slow", "fast") for row in test_fr_from_nr.rows(40, preset)]
    return test_fr_from_nr.page_of(table)


def of_mos_head() -> Page:
    judged = test_mos_head.judged(900)
    return mos_head_page(test_mos_head.report(), judged, MosHeadParameters(), "now")


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with open_browser(tmp_path_factory.mktemp("profile")) as address:
        yield address


@pytest.mark.parametrize("make", [of_extract, of_ingest, of_fr, of_mos_head])
def test_a_page_is_drawn_whole_and_asks_for_nothing(make, tools, tmp_path):
    page = write(make, tmp_path)
    for width, scheme in schemes_and_widths():
        seen = look(tools, page, width=width, scheme=scheme)
        assert (seen.errors, seen.cut_off) == ([], []), (width, scheme)
        assert {address.partition(":")[0] for address in seen.requests} <= {"file", "data"}


@pytest.mark.parametrize("make", [of_extract, of_ingest, of_fr, of_mos_head])
def test_a_page_is_printed_whole(make, tools, tmp_path):
    seen = look(tools, write(make, tmp_path), width=1920, scheme="dark", on_paper=True)
    assert (seen.errors, seen.cut_off) == ([], [])


def test_what_is_cut_off_or_hidden_is_found(tools, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        """<script>fetch("http://127.0.0.1:1/x").catch(() => {}); console.error("e")</script>
        <div data-figure="f" style="width: 100px; height: 50px; overflow: hidden">
        <svg class="main-svg" width="300" height="50">
        <text x="80" y="20">longer than its box</text><text x="80" y="20">above it</text></svg>"""
    )
    seen = look(tools, page, width=1280, scheme="light")
    assert any("is cut off" in line for line in seen.cut_off)
    assert any("is over" in line for line in seen.cut_off)
    assert "f is wider than its box" in seen.cut_off
    assert seen.errors and "http://127.0.0.1:1/x" in seen.requests


def write(make: Callable[[], Page], folder: Path) -> Path:
    page = folder / "page.html"
    page.write_text(render(make()), "utf-8")
    return page
