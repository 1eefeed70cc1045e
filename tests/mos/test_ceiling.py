"""The reported ceiling against tables whose ceiling is known by construction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos import judging
from k150k_pipeline.mos.ceiling import label_ceiling, votes_per_clip
from k150k_pipeline.mos.models import fit_head
from k150k_pipeline.mos.table import votes_of

CLIPS = 30_000


def true_opinions(shape: str, random: np.random.Generator) -> np.ndarray:
    shapes = {
        "normal": lambda: random.normal(3.0, 0.36, CLIPS),
        "uniform": lambda: random.uniform(2.0, 4.0, CLIPS),
        "skewed": lambda: 1.8 + random.gamma(2.0, 0.3, CLIPS),
    }
    return shapes[shape]()


def ceiling_of(labels: np.ndarray, votes: float, vote_sd: float):
    full = np.full(len(labels), 1.0)
    return label_ceiling(labels, votes * full, vote_sd * full, "test")


@pytest.mark.sample(every=4)
@pytest.mark.parametrize("shape", ["normal", "uniform", "skewed"])
@pytest.mark.parametrize("votes", [5, 30, 89])
def test_ceiling_of_normal_errors_is_within_a_hundredth(shape, votes):
    random = np.random.default_rng(7)
    true = true_opinions(shape, random)
    labels = true + random.normal(size=CLIPS) * 0.93 / np.sqrt(votes)
    ceiling = ceiling_of(labels, votes, 0.93)
    by_construction = true.std() / np.sqrt(true.var() + 0.93**2 / votes)
    assert ceiling.plcc == pytest.approx(by_construction, abs=0.01)
    assert ceiling.plcc == pytest.approx(stats.pearsonr(true, labels)[0], abs=0.01)
    assert ceiling.srocc == pytest.approx(stats.spearmanr(true, labels)[0], abs=0.01)
    assert ceiling.rmse == pytest.approx(np.sqrt(np.mean((labels - true) ** 2)), abs=0.01)


@pytest.mark.parametrize("shape", ["normal", "uniform", "skewed"])
def test_ceiling_of_whole_votes_is_within_a_hundredth(shape):
    """Five votes of 1–5 each, rounded and cut off, so that labels are multiples of 0.2."""
    random = np.random.default_rng(11)
    latent = true_opinions(shape, random)
    votes = np.clip(np.rint(latent[:, None] + 0.89 * random.normal(size=(CLIPS, 5))), 1, 5)
    scale = np.arange(1, 6)
    edges = np.array([-np.inf, 1.5, 2.5, 3.5, 4.5, np.inf])
    chances = np.diff(stats.norm.cdf((edges - latent[:, None]) / 0.89), axis=1)
    true, labels = chances @ scale, votes.mean(axis=1)
    table = pd.DataFrame(
        {
            "video_name": np.repeat(np.arange(CLIPS), 5).astype(str),
            "video_score": votes.ravel().astype(int).astype(str),
        }
    )
    counted = votes_per_clip(table)
    assert (counted["votes"] == 5).all()
    ceiling = ceiling_of(labels, 5, counted["vote_sd"].iloc[0])
    assert ceiling.plcc == pytest.approx(stats.pearsonr(true, labels)[0], abs=0.01)
    assert ceiling.srocc == pytest.approx(stats.spearmanr(true, labels)[0], abs=0.01)


def test_model_that_predicts_the_true_opinions_scores_at_the_ceiling(tiny):
    random = np.random.default_rng(3)
    true = random.normal(3.0, 0.36, CLIPS)
    labels = np.clip(true + random.normal(size=CLIPS) * 0.93 / np.sqrt(5), 1, 5)
    frame = pd.DataFrame({"truth": true, "noise": random.normal(size=CLIPS), "mos": labels})
    head = fit_head(frame[: CLIPS // 2], ["truth", "noise"], "ridge", tiny, (0,))
    rest = frame[CLIPS // 2 :]
    judged = judging.judge(head, rest, np.arange(len(rest)).astype(str), tiny)
    ceiling = ceiling_of(labels, 5, 0.93)
    assert judged["ensemble"]["plcc"] == pytest.approx(ceiling.plcc, abs=0.01)
    assert judged["ensemble"]["srocc"] == pytest.approx(ceiling.srocc, abs=0.01)
    assert judged["ensemble"]["rmse"] == pytest.approx(ceiling.rmse, abs=0.01)


def test_ceiling_from_the_sds_that_corpus_rows_record():
    """Five votes a clip: one SD in a hundred is 0, and none says much of its clip."""
    random = np.random.default_rng(13)
    true = random.normal(3.0, 0.4, CLIPS)
    votes = np.clip(np.rint(true[:, None] + 0.89 * random.normal(size=(CLIPS, 5))), 1, 5)
    rows = pd.DataFrame({"n_ratings": 5.0, "mos_std_dev": votes.std(axis=1, ddof=1)})
    assert (rows["mos_std_dev"] == 0).sum() > 100
    numbers, sds, source = votes_of(rows, votes=99, vote_sd=9, counted=None)
    labels = votes.mean(axis=1)
    ceiling = label_ceiling(labels, numbers, sds, source)
    assert source == "corpus rows"
    assert ceiling.plcc == pytest.approx(stats.pearsonr(true, labels)[0], abs=0.01)
    assert ceiling.srocc == pytest.approx(stats.spearmanr(true, labels)[0], abs=0.01)


def test_population_facts_give_the_known_ceilings():
    """MOS of SD 0.36 and votes of SD 0.93: about 0.65 with 5 votes, 0.96 with 89."""
    random = np.random.default_rng(5)
    true = np.clip(random.normal(3.0, 0.36, CLIPS), 1.86, 4.0)
    for votes, low, high in ((5, 0.64, 0.70), (89, 0.95, 0.97)):
        labels = true + random.normal(size=CLIPS) * 0.93 / np.sqrt(votes)
        assert low < ceiling_of(labels, votes, 0.93).plcc < high


def test_clips_with_different_numbers_of_votes():
    random = np.random.default_rng(9)
    true, votes = random.normal(3.0, 0.4, CLIPS), random.integers(5, 60, CLIPS).astype(float)
    labels = true + random.normal(size=CLIPS) * 0.93 / np.sqrt(votes)
    ceiling = label_ceiling(labels, votes, np.full(CLIPS, 0.93), "test")
    assert ceiling.plcc == pytest.approx(stats.pearsonr(true, labels)[0], abs=0.01)
    assert ceiling.srocc == pytest.approx(stats.spearmanr(true, labels)[0], abs=0.01)


def test_perfect_labels_have_no_ceiling_and_pure_noise_has_one_of_zero():
    labels = np.random.default_rng(1).normal(3, 0.3, 500)
    assert ceiling_of(labels, 5, 0.0).plcc == 1.0
    assert ceiling_of(labels, 5, 0.0).srocc == pytest.approx(1.0, abs=0.001)
    noise = ceiling_of(labels, 5, 5.0)
    assert (noise.plcc, noise.srocc) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        (pd.DataFrame({"a": []}), "no column with clip names"),
        (pd.DataFrame({"video_name": ["a", "b"], "score": ["1", "2"]}), "no clip has two votes"),
    ],
)
def test_votes_that_tell_nothing(votes, message):
    with pytest.raises(InputError, match=message):
        votes_per_clip(votes)
