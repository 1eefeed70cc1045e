"""The page of a report: everything is in it, nothing in it runs or loads, it is the same again."""

from __future__ import annotations

import base64
import hashlib
import re

import numpy as np
import pytest

from k150k_pipeline.reports import (
    Drawing,
    Page,
    Section,
    Sum,
    Table,
    Text,
    Tile,
    Tiles,
    attempted,
    render,
)
from k150k_pipeline.reports.figures import bars, density, histogram
from k150k_pipeline.reports.page import of_tried, parameters_table, shown
from tests.support.pages import ReadPage

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\u2028\udcff.mp4"


def page_of(*blocks, facts=None):
    return Page("Title", "subtitle", [Section("Numbers", blocks)], facts or {})


def test_numbers_and_figures_are_read_back_as_they_were_given():
    figure = histogram([1.0, 2.0, 2.0, np.nan], "MOS")
    facts = {"counts": {"rows": 3}, "nothing": np.nan, "names": [HOSTILE]}
    html = render(page_of(Drawing("mos", "MOS", "Bars.", figure), facts=facts))
    data = ReadPage(html).data
    assert data["facts"] == {"counts": {"rows": 3}, "nothing": None, "names": [HOSTILE]}
    assert sum(data["figures"]["mos"]["data"][0]["y"]) == 3
    assert {"light", "dark"} == set(data["templates"])


def test_a_hostile_name_is_text_wherever_it_stands():
    figure = bars({HOSTILE: 1}, HOSTILE)
    page = Page(
        HOSTILE,
        HOSTILE,
        [
            Section(
                HOSTILE,
                [
                    Text(HOSTILE),
                    Tiles([Tile(HOSTILE, HOSTILE, HOSTILE, HOSTILE)]),
                    Sum((HOSTILE, 1), [(HOSTILE, 1)]),
                    Table(HOSTILE, [HOSTILE], [[HOSTILE]], HOSTILE),
                    Drawing("a", HOSTILE, HOSTILE, figure),
                ],
            )
        ],
        {HOSTILE: HOSTILE},
    )
    harmless = render(page_of(Drawing("a", "b", "c", figure)))
    read = ReadPage(render(page))
    assert [tag for tag, _ in read.tags].count("script") == 3
    assert "img" not in {tag for tag, _ in read.tags}
    assert not any(name.startswith("on") for _, attrs in read.tags for name in attrs)
    assert read.data["figures"]["a"]["data"][0]["y"][0].startswith("&lt;/script&gt;")
    assert ReadPage(harmless).data["figures"]["a"] == read.data["figures"]["a"]


def test_the_policy_permits_the_two_scripts_of_the_page_and_no_request():
    html = render(page_of())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1]
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert len(scripts) == 2
    assert policy.startswith("default-src 'none'; script-src ")
    assert [f"'sha256-{digest}'" for digest in digests] == re.findall(r"'sha256-[^']+'", policy)
    assert not re.search(r"https?:", policy)
    assert not [attrs for tag, attrs in ReadPage(html).tags if attrs.get("src")]


def test_the_same_page_is_the_same_text():
    figure = density([1, 2, 3], [1, 2, 3], "a", "b")
    assert render(page_of(Drawing("a", "b", "c", figure))) == render(
        page_of(Drawing("a", "b", "c", figure))
    )


def test_a_sum_that_does_not_add_up_says_so():
    assert "does not add up" not in render(page_of(Sum(("all", 3), [("a", 1), ("b", 2)])))
    assert "does not add up" in render(page_of(Sum(("all", 4), [("a", 1), ("b", 2)])))


def test_a_part_that_cannot_be_drawn_leaves_the_rest():
    def fail():
        raise ZeroDivisionError("no <b>clips</b>")

    section = attempted("Broken", fail)
    text = ReadPage(render(Page("t", "s", [section, Section("Whole", [Text("here")])]))).text
    assert "cannot be drawn (ZeroDivisionError: no <b>clips</b>)" in text and "here" in text


@pytest.mark.parametrize(
    "values",
    [[], [np.nan], [np.inf, -np.inf], [3.0], [0.0, 0.0], [1e300, -1e300], [1e-300, 2e-300]],
)
def test_no_numbers_are_too_odd_to_draw(values):
    counted = histogram(values, "x").data
    assert sum(sum(trace.y) for trace in counted) == np.isfinite(values).sum()
    pairs = density(values, values, "x", "y").data
    cells = [n for trace in pairs for row in trace.customdata for n in row]
    assert sum(cells) == np.isfinite(values).sum()


@pytest.mark.parametrize(
    ("value", "text"),
    [(152265, "152,265"), (0.123456, "0.1235"), (12345.6, "12,346"), (None, "–"), (np.nan, "–"),
     (True, "1"), ("a", "a"), (1e-9, "1e-09")],
)  # fmt: skip
def test_numbers_are_shown_with_their_thousands_apart(value, text):
    assert shown(value) == text


def test_a_column_of_numbers_is_aligned_at_the_right_with_its_title():
    rows = [["a", 1, "x"], ["b", None, 2.0]]
    html = render(page_of(Table("t", ["name", "number", "both"], rows)))
    cells = [attrs.get("class") for tag, attrs in ReadPage(html).tags if tag in ("th", "td")]
    assert cells == [None, "number", None] * 3


def test_parameters_are_written_as_params_and_yaml_have_them():
    blocks = {"extract": {"limit": None, "no_cuda": False, "more": {"names": ["a"], "share": 0.5}}}
    assert list(parameters_table(blocks).rows) == [
        ["extract.limit", "null"],
        ["extract.no_cuda", "false"],
        ["extract.more.names", '["a"]'],
        ["extract.more.share", "0.5"],
    ]


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        (0, "no clip failed"),
        (1, "1 clip failed (7.69 % of those tried)"),
        (2, "2 clips failed (7.69 % of those tried)"),
    ],
)
def test_failures_in_words(failed, words):
    assert of_tried({"counts": {"failed": failed}, "failure_rate": 1 / 13}) == words


def test_axes_of_few_clips_have_no_halves_and_one_value_has_one_tick():
    few, many = histogram([1.0, 2.0, 2.0], "MOS"), histogram([1.0] * 100 + [2.0], "MOS")
    assert few.layout.yaxis.dtick == 1 and many.layout.yaxis.dtick is None
    assert bars({"a": 1}, "clips").layout.xaxis.dtick == 1
    assert list(histogram([5.0, 5.0], "s").layout.xaxis.tickvals) == [5.0]
    assert few.layout.xaxis.tickvals is None
