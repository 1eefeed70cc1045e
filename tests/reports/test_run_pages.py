"""The pages of extract and ingest, of tables that are empty, tiny, damaged or hostile."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from k150k_pipeline.reports import Page, published, render
from k150k_pipeline.reports.extract import FIGURES, Extracted, extract_page, quantiles
from k150k_pipeline.reports.figures import one_at_a_time
from k150k_pipeline.reports.ingest import FIGURES as INGEST_FIGURES
from k150k_pipeline.reports.ingest import Ingested, corpus_frame, ingest_page
from k150k_pipeline.schemas.features import COLUMNS, VALUE_COLUMNS
from tests.support.pages import ReadPage

HOSTILE = "<script>alert(1)</script>\udcff.mp4"
ENGINE = {"f": {"rows": 1, "backend": "native", "plan": "identity"}}


def report_of(rows: int, failed: int = 0, **more) -> dict:
    names = ["done_before", "recovered", "killed", "clips_without_label", "labels_without_clip",
             "bad_labels", "changed_clips", "not_yet_tried"]  # fmt: skip
    counts = {"wanted": rows + failed, "rows": rows, "failed": failed, "newly_finished": rows}
    return {
        "corpus": "k150ka", "package": "k150k-pipeline 0", "started_at": 0.0, "finished_at": 9.0,
        "clips_per_second": rows / 9, "counts": {**counts, **dict.fromkeys(names, 0)},
        "failure_rate": failed / max(rows + failed, 1), "rows_scored_with": ENGINE,
        "failures_by_reason": {"timeout": failed} if failed else {}, **more,
    }  # fmt: skip


def table_of(rows: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(np.full((rows, len(COLUMNS)), 1.0), columns=list(COLUMNS))
    frame = frame.assign(clip_name=[f"{i}.mp4" for i in range(rows)])
    frame["mos"] = random.integers(5, 26, rows) / 5
    frame["motion_mean"] = random.lognormal(size=rows)
    frame["ciede2000_mean"] = np.nan
    return frame


def times_of(frame: pd.DataFrame) -> pd.DataFrame:
    at = np.arange(len(frame)) * 2.0
    return pd.DataFrame({"clip": frame["clip_name"], "at": at, "seconds": 1.0 + at % 7})


def extract_of(frame, report=None, times=None, failed=None) -> ReadPage:
    made = Extracted(
        report or report_of(len(frame)),
        frame,
        times_of(frame) if times is None else times,
        failed or {},
        {"extract": {"corpus": "k150ka"}},
    )
    page = extract_page(made)
    assert len(page.drawn(FIGURES)) == len(FIGURES)
    return ReadPage(render(page))


def test_the_numbers_of_the_page_are_those_of_the_table():
    frame = table_of(500)
    page = extract_of(frame)
    found = page.data["facts"]["features"]
    assert list(found) == ["motion_mean"]
    assert found["motion_mean"]["median"] == frame["motion_mean"].median()
    assert found["motion_mean"]["highest"] == frame["motion_mean"].max()
    expected = frame["motion_mean"].corr(frame["mos"], method="spearman")
    assert found["motion_mean"]["spearman"] == pytest.approx(expected, abs=1e-4)
    for name in ("mos", "seconds", "features"):
        assert sum(page.data["figures"][name]["data"][0]["y"]) == 500
    cells = page.data["figures"]["features_mos"]["data"][0]["customdata"]
    assert sum(map(sum, cells)) == 500
    assert "cannot be drawn" not in page.text and "does not add up" not in page.text


def test_the_most_extreme_and_the_slowest_clips_are_named():
    frame = table_of(50)
    page = extract_of(frame)
    (row,) = page.tables["Most extreme clips"]
    assert row[2] == frame["clip_name"][frame["motion_mean"].idxmin()]
    assert row[4] == frame["clip_name"][frame["motion_mean"].idxmax()]
    assert [seconds for _, seconds in page.tables["Slowest clips"]] == ["7"] * 7 + ["6"] * 3


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_rows_or_none_are_drawn(rows):
    assert "cannot be drawn" not in extract_of(table_of(rows)).text


def test_a_run_in_which_all_failed_is_drawn():
    page = extract_of(table_of(0), report_of(0, 7), failed={"timeout": ["a.mp4", "b.mp4"]})
    assert page.tables["Failed clips"] == [["timeout", "7", "a.mp4, b.mp4"]]
    assert "0 of 7 clips with a label have a row" in page.text
    assert page.data["figures"]["failures"]["data"][0]["x"] == [7]
    assert "cannot be drawn" not in page.text


@pytest.mark.parametrize("column", ["mos", "motion_mean"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_left_out(column, value):
    frame = table_of(20)
    frame.loc[:4, column] = value
    assert "cannot be drawn" not in extract_of(frame).text
    frame[column] = value
    assert "cannot be drawn" not in extract_of(frame).text


def test_hostile_names_and_reasons_are_text():
    frame = table_of(3).assign(clip_name=pd.Series([HOSTILE] * 3, dtype=object))
    report = report_of(3, 1, failures_by_reason={HOSTILE: 1}, labels_without_clip=[HOSTILE] * 9)
    page = extract_of(frame, report, failed={HOSTILE: [HOSTILE]})
    assert [tag for tag, _ in page.tags].count("script") == 3
    assert page.data["facts"]["report"]["labels_without_clip"] == [HOSTILE] * 9


def test_a_column_of_text_spoils_its_sections_and_no_other():
    frame = table_of(5)
    frame["motion_mean"] = "much"
    page = extract_of(frame)
    assert "cannot be drawn" in page.text
    assert page.tables["Slowest clips"] and sum(page.data["figures"]["mos"]["data"][0]["y"]) == 5


def test_a_pause_between_runs_is_left_out_of_the_rate():
    frame = table_of(4)
    at = [10.0, 12.0, 90_000.0, 90_002.0]
    times = pd.DataFrame({"clip": frame["clip_name"], "at": at, "seconds": 2.0})
    figure = extract_of(frame, times=times).data["figures"]["rate"]
    assert figure["data"][0]["x"][-1] == pytest.approx((2 + 2 + 600 + 2) / 60)
    assert len(figure["layout"]["shapes"]) == 1


def test_long_lists_of_names_do_not_fill_the_page():
    names = [f"a_rather_long_clip_name_{i}.mp4" for i in range(100_000)]
    frame = table_of(1)
    report = report_of(1, clips_without_label=names)
    made = Extracted(report, frame, times_of(frame), {}, {})
    html = render(extract_page(made))
    assert len(html.encode()) < 6_000_000
    assert ["clip files without a label", "100,000", ", ".join(names[:5]) + " …"] in ReadPage(
        html
    ).tables["To check"]


def test_a_page_that_cannot_be_made_at_all_is_a_page_that_says_so():
    def fail():
        raise UnicodeError("<b>")

    html, figures = published("Features", fail, FIGURES)
    assert "This page cannot be drawn (UnicodeError: <b>)" in ReadPage(html).text
    assert len(figures) == len(FIGURES)


def test_quantiles_of_nothing_are_empty():
    found = quantiles(table_of(0), VALUE_COLUMNS[:1])
    assert set(found[VALUE_COLUMNS[0]].values()) == {None}


def corpus_row(name: str, **more) -> dict:
    return {
        "src": name, "src_size_bytes": 500_000, "width": 960, "height": 540, "framerate": 25.0,
        "duration_s": 5.0, "pix_fmt": "yuv420p", "encoder_upstream": "h264", "mos": 3.2,
        "mos_std_dev": 0.9, "n_ratings": 5, **more,
    }  # fmt: skip


def ingest_page_of(rows, **more) -> Page:
    names = ["done_before", "download_failed", "broken_clips", "labels_without_clip",
             "not_yet_tried", "bad_rows", "clips_without_label", "bad_votes"]  # fmt: skip
    counts = {**dict.fromkeys(names, 0), "wanted": len(rows), "rows": len(rows)}
    report = {
        "corpus": "konvid-150k", "package": "k150k-pipeline 0", "started_at": 0.0,
        "finished_at": 9.0, "clips_per_second": 1.0, "attrition": 0.0, "failures_by_reason": {},
        "counts": {**counts, "newly_finished": len(rows)}, "same_content": [], "probing": {},
        **more,
    }  # fmt: skip
    return ingest_page(Ingested(report, corpus_frame(rows), {}, {}))


def ingest_of(rows, **more) -> ReadPage:
    page = ingest_page_of(rows, **more)
    assert len(page.drawn(INGEST_FIGURES)) == len(INGEST_FIGURES)
    return ReadPage(render(page))


def test_the_corpus_page_counts_every_row():
    rows = [corpus_row(f"{i}.mp4", width=960 + i % 20, mos=1 + i % 5) for i in range(40)]
    page = ingest_of(rows, same_content=[["0.mp4", "1.mp4"]])
    figures = page.data["figures"]
    for name in ("mos", "votes", "length", "framerate", "bytes", "bitrate"):
        assert sum(figures[name]["data"][0]["y"]) == 40
    for name in ("sizes", "codec"):
        assert sum(figures[name]["data"][0]["x"]) == 40
    assert figures["sizes"]["data"][0]["y"][-1] == "other"
    assert page.tables["Groups with equal bytes"] == [["2", "0.mp4, 1.mp4"]]
    assert "cannot be drawn" not in page.text and "does not add up" not in page.text


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [corpus_row("a.mp4")],
        [corpus_row(HOSTILE, encoder_upstream=HOSTILE, pix_fmt=HOSTILE)],
        [dict.fromkeys(corpus_row("a"), 0) | {"src": "a", "encoder_upstream": "", "pix_fmt": ""}],
        [corpus_row("a.mp4", mos=None, framerate="x", duration_s=0)],
    ],
)
def test_odd_corpora_are_drawn(rows):
    page = ingest_of(rows)
    assert "cannot be drawn" not in page.text
    assert [tag for tag, _ in page.tags].count("script") == 3


def test_panels_are_shown_one_at_a_time_where_they_do_not_fit():
    frame = table_of(9).assign(cambi_mean=range(9), motion2_mean=range(9))
    page = extract_page(Extracted(report_of(9), frame, times_of(frame), {}, {})).figures()
    whole = json.loads(page["features_mos"].to_json())
    shown = one_at_a_time(whole)
    (menu,) = shown["layout"]["updatemenus"]
    assert len(menu["buttons"]) == len(shown["data"]) == len(whole["data"]) > 2
    assert [trace["visible"] for trace in shown["data"]].index(True) == 0
    for number, button in enumerate(menu["buttons"]):
        visible, titles = button["args"]
        assert visible["visible"].index(True) == number and sum(visible["visible"]) == 1
        assert titles["yaxis.title.text"] == "MOS"
        assert shown["data"][number]["z"] == whole["data"][number]["z"]
    other = json.loads(page["mos"].to_json())
    assert one_at_a_time(other) == other
