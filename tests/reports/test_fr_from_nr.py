"""The page of an FR corpus, and the curves on it."""

from __future__ import annotations

import numpy as np
import pytest

from k150k_pipeline.reports import Page, render
from k150k_pipeline.reports.curves import (
    bd_rate,
    by_bitrate,
    by_crf,
    compare_ways,
    read_sweeps,
    vmaf_breaks,
)
from k150k_pipeline.reports.fr_from_nr import FIGURES, Swept, fr_page
from tests.support.pages import ReadPage

CRFS = (18, 23, 28, 33, 38)
HOSTILE = "</script><script>alert(1)</script>" + "x" * 200


def rows(clips: int, preset: str = "medium", first: int = 0, factor: float = 1.0) -> list[dict]:
    found = []
    for clip in range(first, first + clips):
        for crf in CRFS:
            rate = factor * 50_000 * (1 + clip % 7) * 0.5 ** (crf / 6)
            vmaf = 99 - 1.2 * (crf - 18) - 0.3 * (clip % 5)
            found.append({
                "src": f"clip{clip:04}.mp4", "encoder": "libx264", "preset": preset,
                "extra_params": "", "crf": crf, "bitrate_kbps": rate, "vmaf_score": vmaf,
            })  # fmt: skip
    return found


def page_of(table: list[dict], **changes: int) -> Page:
    clips = len({row["src"] for row in table})
    counts = {
        "rows": clips, "wanted": clips + 1, "fr_rows": len(table), "failed": 1, "not_yet_tried": 0,
        "done_before": 0, "newly_finished": clips,
    }  # fmt: skip
    report = {
        "corpus": "konvid_150k", "package": "p", "finished_at": 0.0, "counts": counts | changes,
        "failure_rate": 0.1, "clips_per_second": 1.0, "failures_by_reason": {"timeout": 1},
        "scoring": {"encoder": "libx264"}, "labels_without_clip": [HOSTILE] * 1000,
    }  # fmt: skip
    made = Swept(report, read_sweeps(table), {"timeout": [HOSTILE]}, {"vmaf": {"threads": 1}})
    return fr_page(made)


def read(table: list[dict], **changes: int) -> ReadPage:
    return ReadPage(render(page_of(table, **changes)))


def test_numbers_of_the_page_are_those_of_the_rows():
    table = rows(40)
    page = read(table)
    assert "cannot be drawn" not in page.text and set(page.data["figures"]) == set(FIGURES)
    median = page.data["figures"]["vmaf_crf"]["data"][0]
    for crf, value, (clips, low, high) in zip(
        median["x"], median["y"], median["customdata"], strict=True
    ):
        values = [row["vmaf_score"] for row in table if row["crf"] == crf]
        assert clips == 40 and value == pytest.approx(np.median(values))
        assert (low, high) == pytest.approx(tuple(np.quantile(values, [0.05, 0.95])))
    shown = page.tables["Quantiles over clips: libx264 medium"]
    rates = [row["bitrate_kbps"] for row in table if row["crf"] == 18]
    assert shown[0][:2] == ["18", "40"] and len(shown) == 5
    assert float(shown[0][6].replace(",", "")) == pytest.approx(np.median(rates), abs=0.6)
    assert page.data["facts"]["report"]["counts"]["fr_rows"] == 200
    assert len(page.data["facts"]["report"]["labels_without_clip"]) <= 50
    assert "there is no second curve and no BD-rate" in page.text
    for curve in page.data["figures"]["examples"]["data"]:
        own = [r["bitrate_kbps"] for r in table if r["src"] == curve["name"]]
        assert curve["x"] == pytest.approx(own)


def test_a_break_is_named_with_its_size():
    table = rows(10)
    table[7]["vmaf_score"] = table[6]["vmaf_score"] + 0.5
    (step,) = vmaf_breaks(read_sweeps(table))
    assert (step.clip, step.crf, step.next_crf) == ("clip0001.mp4", 23, 28)
    assert step.rise == pytest.approx(0.5)
    (shown,) = read(table).tables["VMAF rises with the CRF"]
    assert shown[:2] == ["clip0001.mp4", "23 to 28"] and shown[-1] == "0.5"


def test_the_fan_over_the_bitrate_counts_a_clip_within_its_sweep_only():
    sweeps = read_sweeps(rows(7))
    fan = by_bitrate(sweeps)
    assert fan.at[0] == pytest.approx(sweeps.kbps.min()) and fan.clips.max() <= 7
    assert fan.clips[0] == 1, "only the clip that costs least bits goes down so far"
    (one,) = {tuple(by_bitrate(read_sweeps(rows(1))).vmaf[:, 0])}
    assert len(set(one)) == 1, "of one clip all quantiles are its curve"


def test_bd_rate_of_curves_that_differ_by_a_factor_is_that_factor():
    rate, vmaf = np.array([100.0, 200.0, 400.0, 800.0]), np.array([60.0, 75.0, 88.0, 95.0])
    assert bd_rate(rate * 0.8, vmaf, rate, vmaf) == pytest.approx(-20)
    assert bd_rate(rate, vmaf, rate, vmaf) == pytest.approx(0)
    assert np.isnan(bd_rate(rate, vmaf, rate, vmaf + 50)), "no VMAF in common"
    assert np.isnan(bd_rate(rate, vmaf[::-1], rate, vmaf)), "VMAF falls with the bitrate"
    assert np.isnan(bd_rate(rate[:1], vmaf[:1], rate, vmaf))


def test_ways_are_compared_by_shared_clips_or_else_by_median_curves():
    (paired,) = compare_ways(read_sweeps(rows(14) + rows(14, "slow", 0, 0.9)))
    assert (paired.way, paired.clips) == ("libx264 slow", 14)
    assert (paired.percent, paired.low, paired.high) == pytest.approx((-10, -10, -10))
    (unpaired,) = compare_ways(read_sweeps(rows(70) + rows(70, "slow", 70, 0.9)))
    assert unpaired.clips == 0 and unpaired.low < -10 < unpaired.high
    page = read(rows(14) + rows(14, "slow", 14, 0.9))
    (row,) = page.tables["Bitrate for the same VMAF"]
    assert row[-1] == "median curves, different clips" and "cannot be drawn" not in page.text


def test_each_way_of_encoding_has_a_colour_of_its_own():
    table = [row for preset in ("slow", "medium", "fast") for row in rows(4, preset)]
    traces = read(table).data["figures"]["vmaf_crf"]["data"]
    medians = [number for number, trace in enumerate(traces) if "median" in trace.get("name", "")]
    assert medians == [0, 1, 2], "colours are given in the order of the traces"


@pytest.mark.parametrize("clips", [0, 1])
def test_few_rows(clips):
    page = read(rows(clips))
    assert "cannot be drawn" not in page.text and "nan" not in page.text.lower()


def test_names_of_any_kind_and_a_single_crf():
    table = [row | {"src": HOSTILE} for row in rows(1)[:1]]
    page = read(table)
    assert [tag for tag, _ in page.tags].count("script") == 3
    assert "cannot be drawn" not in page.text
    assert by_crf(read_sweeps(table)).clips.tolist() == [1]
