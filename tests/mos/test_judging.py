"""Models, their scores, the gate, and the baselines."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.dummy import DummyRegressor

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos import gate, judging, metrics
from k150k_pipeline.mos.ceiling import label_ceiling
from k150k_pipeline.mos.intervals import bootstrap
from k150k_pipeline.mos.metrics import METRICS
from k150k_pipeline.mos.models import fit_head
from k150k_pipeline.mos.splits import split
from k150k_pipeline.mos.types import without_nan
from k150k_pipeline.mos.words import describe_folds
from k150k_pipeline.schemas.mos_parameters import (
    MODEL_KINDS,
    FitParameters,
    GateParameters,
    MosHeadParameters,
)

INPUTS = list("abcde")
MOS = {"mean": 3.0, "sd": 0.61, "lowest": 1.2, "highest": 4.8}


def ceiling(votes: float = 100.0, clips: int = 300):
    labels = np.random.default_rng(0).normal(3, 0.5, clips)
    return label_ceiling(labels, np.full(clips, votes), np.full(clips, 0.93), "test")


def judged(plcc=0.9, srocc=0.9, rmse=0.3, spread=0.001, clips=200) -> dict:
    scores = dict.fromkeys(METRICS, 0.5) | {"plcc": plcc, "srocc": srocc, "rmse": rmse}
    interval = {name: [0.0, 1.0] for name in METRICS}
    return {
        "clips": clips, "contents": clips, "mos": MOS, "mean": scores, "per_seed": [],
        "ensemble": {**scores, "intervals": interval}, "seed_spread": spread,
    }  # fmt: skip


BASELINES = {
    "mean_predictor_rmse": 0.5,
    "metadata_only": None,
    "vmaf_only": None,
    "columns_alone": {},
}


def decide(change: dict, votes: float = 100.0, baselines=BASELINES) -> dict:
    return gate.decide(
        judged(**change), ceiling(votes), baselines, GateParameters(), "the held-out part", True
    )


def test_gate_promotes_what_passes_everything():
    verdict = decide({})
    assert verdict["verdict"] == "PROMOTE" and verdict["reasons"] == []
    assert gate.title(verdict) == "MOS_PROMOTE"


@pytest.mark.sample(every=3)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"plcc": 0.8499}, "the PLCC is 0.8499, below the gate's 0.85"),
        ({"srocc": 0.81}, "the SROCC is 0.81, below the gate's 0.82"),
        ({"rmse": 0.46}, "the RMSE is 0.46, above the gate's 0.45"),
        ({"spread": 0.0051}, "the spread of PLCC over the seeds is 0.0051, above the"),
        ({"clips": 99}, "there are only 99 clips in the held-out part, fewer than the"),
        ({"plcc": math.nan}, "the PLCC is not defined"),
        ({"spread": math.nan}, "the spread of PLCC over the seeds is not"),
    ],
)
def test_gate_holds_for_a_single_miss(change, reason):
    verdict = decide(change)
    assert verdict["verdict"] == "HOLD" and verdict["reasons"][0].startswith(reason)
    assert gate.title(verdict) == "MOS_HOLD"
    assert "NOT passed" in gate.describe(verdict)


def test_thresholds_are_inclusive():
    exact = {"plcc": 0.85, "srocc": 0.82, "rmse": 0.45, "spread": 0.005, "clips": 100}
    assert decide(exact)["verdict"] == "PROMOTE"


def test_numbers_are_written_as_a_person_writes_them():
    verdict = decide({"clips": 15_210, "spread": 0.000012})
    text = gate.describe(verdict)
    assert "15,210 clips of 15,210 contents" in text and "clips         15,210 (gate" in text
    assert "spread        0.0000 (gate" in text and "e+" not in text and "e-" not in text
    many = GateParameters(min_clips=20_000)
    held = gate.decide(judged(clips=15_210), ceiling(), BASELINES, many, "the trial", True)
    assert held["reasons"][0] == (
        "there are only 15,210 clips in the trial, fewer than the gate's 20,000: too few to judge "
        "any model by"
    )


def test_labels_and_both_kinds_of_scores_are_printed_with_their_intervals():
    text = gate.describe(decide({}))
    assert "200 contents; MOS mean 3.000, SD 0.610, range 1.20 to 4.80" in text
    assert "RMSE 0.3 [0, 1]; after the logistic fit PLCC 0.5 [0, 1], RMSE 0.5 [0, 1]" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rmse_logistic": math.nan}, "the logistic fit found no curve for the 200 clips of the"),
        ({"plcc": -0.6, "plcc_logistic": 0.6}, "the logistic curve falls"),
    ],
)
def test_unusual_fit_is_one_remark(change, words):
    scores = judged()
    scores["ensemble"] |= change
    verdict = gate.decide(scores, ceiling(), BASELINES, GateParameters(), "the trial", True)
    assert len([r for r in verdict["reasons"] if words in r]) == 1
    json.dumps(without_nan(verdict), allow_nan=False)
    text = gate.describe(verdict)
    assert "nan" not in text and "[undefined" not in text


def test_intervals_after_the_fit_are_those_of_the_fitted_curve(frame, tiny):
    head = fit_head(frame[:300], INPUTS, "ridge", tiny, tiny.seeds)
    contents = np.arange(100).astype(str)
    ensemble = judging.judge(head, frame[300:], contents, tiny)["ensemble"]
    true = frame["mos"][300:].to_numpy()
    mapped = metrics.after_fit(head.predict(frame[300:]), true, tiny.fit)
    found = bootstrap(mapped, true, list(contents), draws=tiny.bootstrap_draws, seed=0)
    for name in ("plcc", "rmse"):
        low, high = ensemble["intervals"][f"{name}_logistic"]
        assert [low, high] == found[name] and low < ensemble[f"{name}_logistic"] < high
    assert found["rmse"] != ensemble["intervals"]["rmse"]
    labels = true.mean(), true.std(ddof=1), true.min(), true.max()
    mos = judging.judge(head, frame[300:], contents, tiny)["mos"]
    assert list(mos.values()) == pytest.approx(labels, abs=1e-4)


@pytest.mark.parametrize("clips", [3, 12])
def test_no_curve_and_constant_predictions_are_undefined_not_errors(frame, tiny, clips):
    contents = np.arange(clips).astype(str)
    few = tiny.model_copy(update={"fit": FitParameters(max_evaluations=1)})
    head = fit_head(frame[:300], INPUTS, "ridge", few, few.seeds)
    flat = DummyRegressor().fit(np.zeros((2, 5)), [0.0, 0.0])
    for judge, parameters in ((head, few), (replace(head, members=(flat, flat)), tiny)):
        scores = judging.judge(judge, frame[300 : 300 + clips], contents, parameters)
        ensemble = scores["ensemble"]
        assert np.isnan(ensemble["intervals"]["plcc_logistic"]).all()
        constant = math.isnan(ensemble["plcc"])
        assert constant == (judge is not head) == bool(np.isnan(ensemble["intervals"]["plcc"][0]))
        assert math.isfinite(ensemble["rmse"]) and np.isfinite(ensemble["intervals"]["rmse"]).all()
        json.dumps(without_nan(scores), allow_nan=False)


def test_folds_without_a_curve_are_counted_in_the_line_of_the_kind(frame, tiny):
    splits = split(frame, tiny.splits)
    line = describe_folds(judging.cross_validate(frame, INPUTS, splits, "ridge", tiny))
    assert line.startswith("ridge: PLCC 0.") and "on average over 3 folds; after" in line
    assert "undefined" not in line and "no curve" not in line
    few = tiny.model_copy(update={"fit": FitParameters(max_evaluations=1)})
    line = describe_folds(judging.cross_validate(frame, INPUTS, splits, "ridge", few))
    assert "RMSE undefined (no curve was found in 3 of 3 folds)" in line and "nan" not in line


def test_gate_that_no_predictor_can_pass_names_the_labels_to_use():
    (reason,) = [r for r in decide({"plcc": 0.6}, votes=5)["reasons"] if "no predictor" in r]
    assert "with 5 votes per clip" in reason and "K150K-B labels" in reason
    assert not any("no predictor" in r for r in decide({"plcc": 0.6}, votes=100)["reasons"])


def test_rmse_threshold_that_the_mean_passes_is_reported():
    verdict = decide({}, baselines={**BASELINES, "mean_predictor_rmse": 0.36})
    assert any("always predicting the mean already gives 0.360" in r for r in verdict["reasons"])


def test_everything_a_reader_needs_is_printed(frame, tiny):
    frame["vmaf_mean"] = frame["a"] * 5 + 90
    frame["width"], frame["src_size_bytes"] = frame["b"], frame["d"]
    train, rest = frame[:300], frame[300:]
    baselines = judging.baselines(train, rest, INPUTS, tiny)
    by_hand = np.sqrt(np.mean((rest["mos"] - train["mos"].mean()) ** 2))
    assert baselines["mean_predictor_rmse"] == pytest.approx(by_hand, abs=1e-12)
    assert baselines["vmaf_only"]["plcc"] == pytest.approx(
        np.corrcoef(rest["a"], rest["mos"])[0, 1]
    )
    assert baselines["metadata_only"]["ridge"]["plcc"] > 0.1
    head = fit_head(train, INPUTS, "trees", tiny, tiny.seeds)
    contents = np.arange(100).astype(str)
    scores = judging.judge(head, rest, contents, tiny)
    verdict = gate.decide(scores, ceiling(5), baselines, tiny.gate, "the held-out part", True)
    text = gate.describe(verdict)
    for words in ("(a) label ceiling: PLCC", "(b) always predicting", "(c) metadata only: ridge"):
        assert words in text
    assert "(d) VMAF only: its mean PLCC" in text
    json.dumps(without_nan(verdict), allow_nan=False)


def test_columns_that_do_not_vary_have_no_baseline(frame, tiny):
    frame["width"], frame["vmaf_mean"] = 960.0, 100.0
    baselines = judging.baselines(frame[:300], frame[300:], INPUTS, tiny)
    assert baselines["metadata_only"] is None and baselines["vmaf_only"] is None


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_every_kind_learns_and_is_scored_by_fold_and_seed(kind, frame, tiny):
    splits = split(frame, tiny.splits)
    result = judging.cross_validate(frame, INPUTS, splits, kind, tiny)
    assert result["mean"]["plcc"] > 0.5
    assert len(result["scores"]) == 3 * 3, "three folds, two seeds and their ensemble"
    assert {s["seed"] for s in result["scores"]} == {0, 1, "ensemble"}
    ensembles = [s["plcc"] for s in result["scores"] if s["seed"] == "ensemble"]
    assert result["fold_spread"] == pytest.approx(max(ensembles) - min(ensembles))
    head = fit_head(frame.iloc[splits.development], INPUTS, kind, tiny, tiny.seeds)
    rest = frame.iloc[splits.held_out]
    scores = judging.judge(head, rest, splits.contents[splits.held_out], tiny)
    by_seed = [s["plcc"] for s in scores["per_seed"]]
    for record in (*scores["per_seed"], *(s for s in result["scores"] if s["seed"] == "ensemble")):
        low, high = record["intervals"]["plcc"]
        assert low < record["plcc"] < high
    assert scores["seed_spread"] == pytest.approx(max(by_seed) - min(by_seed))
    assert (scores["seed_spread"] == 0) == (kind in ("ridge", "svr"))


def test_seed_without_a_score_leaves_no_spread(frame, tiny):
    """One member that predicts a constant: the spread is unknown, not that of the others."""
    good = fit_head(frame, INPUTS, "mlp", tiny, (0, 1))
    flat = DummyRegressor().fit(np.zeros((2, 5)), [0.0, 0.0])
    for members in ((flat, good.members[0]), (good.members[0], flat)):
        scores = judging.judge(
            replace(good, members=members), frame, np.arange(400).astype(str), tiny
        )
        assert math.isnan(scores["seed_spread"]) and math.isnan(scores["mean"]["plcc"])


def test_svr_beyond_its_rows_depends_on_the_seed(frame, tiny):
    svr = tiny.svr.model_copy(update={"max_rows": 100})
    head = fit_head(frame, INPUTS, "svr", tiny.model_copy(update={"svr": svr}), (0, 1))
    assert np.ptp(head.predict_all(frame)[0], axis=0).max() > 0.01


def test_imputation_and_scaling_are_those_of_the_training_rows(frame, tiny):
    wild = frame.copy()
    wild.loc[300:, INPUTS] = 1e9
    one, other = (fit_head(f[:300], INPUTS, "ridge", tiny, (0,)) for f in (frame, wild))
    for name in ("fill", "mean", "scale"):
        assert (getattr(one.preparation, name) == getattr(other.preparation, name)).all()
    known = frame["c"][:300]
    assert one.preparation.fill[2] == np.float32(known.median())
    assert one.preparation.mean[2] == pytest.approx(known.fillna(known.median()).mean())


def test_column_that_is_constant_in_training_is_no_input(frame, tiny):
    frame["e"] = [1.0] * 300 + [5.0] * 100
    head = fit_head(frame[:300], INPUTS, "ridge", tiny, (0,))
    assert head.preparation.columns == tuple("abcd")


def test_too_few_rows(frame, tiny):
    with pytest.raises(InputError, match="2 training rows"):
        fit_head(frame[:2], INPUTS, "ridge", tiny, (0,))


def test_perceptron_that_does_not_settle_is_one_sentence(frame, tiny):
    mlp = tiny.mlp.model_copy(update={"learning_rate": 1e300})
    with pytest.raises(InputError, match=r"did not settle.*Lower mos_head.mlp.learning_rate"):
        fit_head(frame, INPUTS, "mlp", tiny.model_copy(update={"mlp": mlp}), (0,))


def results(**plcc) -> dict:
    return {kind: {"mean": {"plcc": value, "srocc": 0.0}} for kind, value in plcc.items()}


def test_choice_is_by_cross_validation_among_what_may_be_shared():
    found = results(ridge=0.5, svr=0.9, trees=0.6, mlp=math.nan)
    assert judging.choose(found, MosHeadParameters()) == "trees"
    assert judging.choose(found, MosHeadParameters(share_support_vectors=True)) == "svr"
    assert judging.choose(found, MosHeadParameters(export="mlp")) == "mlp"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"models": ["ridge"], "export": "mlp"}, "is not one of models"),
        ({"export": "svr"}, "rows of the training table"),
        ({"models": ["svr"]}, "rows of the training table"),
        ({"seeds": [1]}, "seeds"),
        ({"seeds": [-1, 0]}, "seeds"),
        ({"seeds": [0, 2**32]}, "seeds"),
        ({"gate": {"plcc": 2}}, "plcc"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_parameters_are_refused(block, message):
    with pytest.raises(ValidationError, match=message):
        MosHeadParameters.model_validate(block)


def test_importance_finds_the_column_that_counts(frame, tiny):
    head = fit_head(frame, INPUTS, "trees", tiny, (0,))
    rises = judging.importance(head, frame, tiny)
    assert next(iter(rises)) == "a" and rises["a"] > 5 * rises["e"]
