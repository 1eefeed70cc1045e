"""The page of mos_head, from reports of any kind."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from k150k_pipeline.mos.ceiling import label_ceiling
from k150k_pipeline.mos.standing import against_baselines, below_the_ceiling, standings
from k150k_pipeline.pipelines.mos_head.pipeline import FIGURES
from k150k_pipeline.reports import render
from k150k_pipeline.reports.figures import one_at_a_time
from k150k_pipeline.reports.mos_head import mos_head_page
from k150k_pipeline.schemas.mos_parameters import MosHeadParameters
from tests.support.pages import ReadPage

METRICS = ("plcc", "plcc_logistic", "srocc", "krocc", "rmse", "rmse_logistic")
HOSTILE = "<script>alert(1)</script>" + "x" * 200


def scores(value: float | None, width: float = 0.03) -> dict:
    ends = [None, None] if value is None else [value - width, value + width]
    return {**dict.fromkeys(METRICS, value), "intervals": {m: list(ends) for m in METRICS}}


def report(value: float | None = 0.6, baseline: float | None = 0.3, ceiling: float = 0.67) -> dict:
    fold = {"fold": "repeat 0 fold 0", "seed": "ensemble", **scores(value)}
    many = {"plcc": ceiling, "plcc_high": ceiling + 0.01, "srocc": ceiling, "rmse": 0.42}
    metrics = {
        "verdict": "HOLD", "judged_on": "the held-out part", "model": "trees",
        "reasons": ["the PLCC is 0.6, below the gate's 0.85"],
        "checks": [
            {"name": "plcc", "value": value, "threshold": 0.85, "at_least": True, "passed": False}
        ],
        "scores": {
            "clips": 900, "contents": 800, "mean": scores(value), "ensemble": scores(value),
            "per_seed": [{"seed": 0, **scores(value)}], "seed_spread": 0.0,
        },
        "ceiling": {
            **many, "label_sd": 0.6, "true_sd": 0.4, "votes": 5.0, "vote_sd": 0.93,
            "source": "parameters",
        },
        "mean_predictor_rmse": 0.61, "vmaf_only": None,
        "metadata_only": None if baseline is None else {"ridge": scores(baseline)},
        "columns_alone": {HOSTILE: 0.4}, "fold_spread": 0.01, "importance": {HOSTILE: 0.1},
        "cross_validation": {
            "trees": {"kind": "trees", "scores": [fold], "mean": scores(value), "fold_spread": 0.0}
        },
    }  # fmt: skip
    data = {
        "inputs": ["a"], "dropped_columns": {HOSTILE: "empty"}, "clips": 1000,
        "with_corpus_row": 990, "without_corpus_row": 10, "labels_that_differ_from_the_corpus": 0,
        "clips_per_corpus": {"konvid-150k": 1000}, "corpus_versions": [], "warnings": [HOSTILE],
        "mos": {"mean": 3.0, "sd": 0.6, "lowest": 1.0, "highest": 5.0}, "scored_with": {},
        "parts": {"development": 900, "held out": 100}, "split_policy": "hash",
        "judge_scored_with": {}, "metadata_ranges": {}, "fingerprint": "f",
    }  # fmt: skip
    return {"summary": "", "model_set": [], "data": data, "metrics": metrics}


def judged(clips: int, name: str = "clip") -> pd.DataFrame:
    random = np.random.default_rng(0)
    true = np.clip(np.round(random.normal(3, 0.6, clips) * 5) / 5, 1, 5)
    predicted = 3 + 0.5 * (true - 3) + random.normal(0, 0.2, clips)
    names = [f"{name}{i}" for i in range(clips)]
    return pd.DataFrame({"clip_name": names, "mos": true, "predicted": predicted})


def read(document: dict, predictions: pd.DataFrame) -> ReadPage:
    page = mos_head_page(document, predictions, MosHeadParameters(), "now")
    return ReadPage(render(page))


def test_the_page_answers_whether_how_far_and_why():
    page = read(report(), judged(900))
    assert "better than its baselines? Yes. Its PLCC is 0.600 (95 %: 0.570 to 0.630)" in page.text
    assert "metadata only, ridge, has 0.300, below that interval" in page.text
    assert "has a PLCC of about 0.670" in page.text and "0.070 is left to gain" in page.text
    assert page.tables["Why HOLD"] == [["The PLCC is 0.6, below the gate's 0.85."]]
    assert page.tables["Checks of the gate"][0][1:] == ["0.6", "at least 0.85", "NOT passed"]
    assert "cannot be drawn" not in page.text
    assert [tag for tag, _ in page.tags].count("script") == 3, "and none of a name"


def test_numbers_of_the_figures_are_those_of_the_report_and_the_predictions():
    document, predictions = report(), judged(300)
    page = read(document, predictions)
    figures = page.data["figures"]
    assert set(figures) == set(FIGURES) and page.data["facts"]["report"] == document
    plcc = figures["standing"]["data"][0]
    model = plcc["text"].index("this model, exported ensemble")
    assert plcc["x"][model] == document["metrics"]["scores"]["ensemble"]["plcc"]
    assert plcc["error_x"]["array"][model] == pytest.approx(0.03)
    assert plcc["x"][-1] == 0.85, "the gate"
    clips = figures["predicted_true"]["data"][0]
    np.testing.assert_allclose(clips["x"], predictions["predicted"], rtol=1e-6)
    assert np.abs(np.array(clips["y"]) - predictions["mos"]).max() <= 0.1 + 1e-6
    assert sum(n for n, *_ in figures["calibration"]["data"][0]["customdata"]) == 300
    assert sum(figures["errors"]["data"][0]["customdata"]) == 300


def test_many_clips_are_counted_in_cells_and_named_only_in_the_table():
    predictions = judged(5000)
    page = read(report(), predictions)
    for name in ("predicted_true", "residuals"):
        cells = page.data["figures"][name]["data"][0]
        assert sum(map(sum, cells["customdata"])) == 5000, "no clip is beyond the ends"
    errors = (predictions["predicted"] - predictions["mos"]).abs()
    worst = page.tables["Clips with the largest errors"]
    assert worst[0][0] == predictions["clip_name"][errors.idxmax()] and len(worst) == 10


@pytest.mark.parametrize("clips", [0, 1, 2])
def test_few_clips_and_scores_that_are_not_defined(clips):
    document = report(None, None)
    document["metrics"] |= {"importance": {}, "cross_validation": {}, "columns_alone": {}}
    page = read(document, judged(clips))
    assert "cannot be drawn" not in page.text and "PLCC of the model is not defined" in page.text
    assert "nan" not in page.text.lower()


@pytest.mark.parametrize("constant", ["predicted", "mos"])
def test_values_that_do_not_vary(constant):
    page = read(report(), judged(4000).assign(**{constant: 3.0}))
    assert "cannot be drawn" not in page.text


def test_predictions_that_are_not_finite_are_left_out_of_the_figures():
    predictions = judged(10)
    predictions.loc[0, "predicted"] = np.nan
    page = read(report(), predictions)
    assert len(page.data["figures"]["predicted_true"]["data"][0]["x"]) == 9
    assert "cannot be drawn" not in page.text


def test_a_report_that_lacks_a_part_still_has_the_others():
    document = report()
    del document["data"]["parts"]
    page = read(document, judged(100, HOSTILE))
    assert "cannot be drawn (KeyError: 'parts')" in page.text and "Why HOLD" in page.tables


@pytest.mark.parametrize(
    ("own", "baseline", "answer"),
    [(0.6, 0.3, "Yes."), (0.6, 0.59, "Not clearly."), (0.6, 0.7, "No, it is worse."),
     (0.6, -0.7, "No, it is worse."), (0.6, None, "No baseline"), (None, 0.3, "Not known")],
)  # fmt: skip
def test_a_model_is_better_only_if_the_baseline_is_below_its_interval(own, baseline, answer):
    assert against_baselines(report(own, baseline)["metrics"]).startswith(answer)


@pytest.mark.parametrize(
    ("own", "words"),
    [(0.4, "is left to gain"), (0.66, "cannot be told from a perfect one"), (0.9, "luck")],
)
def test_the_distance_to_the_ceiling_is_judged_by_its_interval(own, words):
    assert words in below_the_ceiling(report(own)["metrics"])


def test_the_interval_of_the_ceiling_is_about_it_and_narrows_with_the_contents():
    random = np.random.default_rng(0)
    labels = random.normal(3, 0.5, 2000)
    ceiling = label_ceiling(labels, np.full(2000, 5.0), np.full(2000, 0.8), "test")
    for low, value, high in zip(
        ceiling.lowest(500), (ceiling.plcc, ceiling.srocc), ceiling.highest(500), strict=True
    ):
        assert low < value < high
    assert ceiling.lowest(50)[0] < ceiling.lowest(5000)[0]
    by_name = {(s.name, s.metric): s for s in standings(report()["metrics"])}
    assert by_name["perfect predictor (the ceiling)", "plcc"].low < 0.67


def test_a_viewer_that_makes_letters_smaller_finds_those_of_the_second_axes_small():
    page = mos_head_page(report(), judged(900), MosHeadParameters(), "now")
    whole = json.loads(page.figures()["standing"].to_json())
    shown = one_at_a_time(whole)
    assert shown["data"] == whole["data"]
    assert shown["layout"]["yaxis2"]["tickfont"]["size"] < 10
    assert shown["layout"]["yaxis2"]["ticktext"] == whole["layout"]["yaxis2"]["ticktext"]
    assert shown["layout"]["xaxis2"]["title"]["text"] == whole["layout"]["xaxis2"]["title"]["text"]
    assert "tickfont" not in shown["layout"]["yaxis"]
