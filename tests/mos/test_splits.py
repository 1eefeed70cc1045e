"""No content on both sides; what a leak would gain; what stays fixed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.metrics import plcc
from k150k_pipeline.mos.models import fit_head
from k150k_pipeline.mos.splits import flickr_id, group_contents, refuse_leaks, split
from k150k_pipeline.schemas.mos_parameters import SplitParameters


def clips(count: int, **columns) -> pd.DataFrame:
    names = [f"orig_{1000 + i}_540_5s.mp4" for i in range(count)]
    frame = pd.DataFrame({"clip_name": names, "corpus": "konvid-150k", "src_sha256": ""})
    return frame.assign(**columns)


def test_a_leak_would_gain_five_hundredths_and_is_refused(tiny):
    """Six clips per content look alike and share an opinion that looks do not explain."""
    random = np.random.default_rng(4)
    contents, rungs = 150, 6
    looks = np.repeat(random.normal(size=(contents, 5)), rungs, axis=0)
    opinion = np.repeat(random.normal(size=contents), rungs)
    x = looks + 0.05 * random.normal(size=looks.shape)
    mos = np.clip(3 + 0.3 * x[:, 0] + 0.3 * opinion + 0.1 * random.normal(size=len(x)), 1, 5)
    frame = clips(len(x), mos=mos, **{f"x{i}": x[:, i] for i in range(5)})
    frame["content_id"] = np.repeat([f"c{i}" for i in range(contents)], rungs)
    groups = group_contents(frame)

    def gained(train, judge) -> float:
        inputs = [f"x{i}" for i in range(5)]
        head = fit_head(frame.iloc[train], inputs, "trees", tiny, (0,))
        return plcc(head.predict(frame.iloc[judge]), mos[judge])

    order = random.permutation(len(x))
    leaking = order[180:], order[:180]
    honest = split(frame, SplitParameters(held_out=0.2))
    gain = gained(*leaking) - gained(honest.development, honest.held_out)
    assert gain >= 0.05
    with pytest.raises(InputError, match="contents are both in training and in the trial"):
        refuse_leaks(groups, *leaking, "the trial")
    refuse_leaks(groups, honest.development, honest.held_out, "the trial")


@pytest.mark.parametrize(
    "pair",
    [
        {"content_id": ["same", "same"]},
        {"src_sha256": ["ab" * 32, "ab" * 32]},
        {"clip_name": ["orig_4711_540_5s.mp4", "4711.mp4"], "corpus": ["konvid-150k", "konvid-1k"]},
        {"uploader_id": ["u1", "u1"]},
    ],
    ids=["content", "hash", "Flickr id", "uploader"],
)
def test_a_given_split_that_leaks_is_refused(pair):
    frame = clips(30)
    for column, values in pair.items():
        if column not in frame:
            frame[column] = ""
        frame[column] = frame[column].astype(object)
        frame.loc[[3, 20], column] = values
    frame["split"] = "train"
    frame.loc[20:, "split"] = "test"
    with pytest.raises(InputError, match="1 contents are both in training and in split 'test'"):
        split(frame, SplitParameters(folds=2))
    frame.loc[20, "split"] = "train"
    assert 20 in split(frame, SplitParameters(folds=2)).development


def test_same_content_is_never_on_both_sides_of_any_division():
    random = np.random.default_rng(0)
    frame = clips(400, content_id=[f"c{i}" for i in random.integers(200, size=400)])
    frame["src_sha256"] = [f"{i:064x}" for i in random.integers(4000, size=400)]
    frame["uploader_id"] = [f"u{i}" if i < 30 else None for i in random.integers(400, size=400)]
    assert frame["src_sha256"].duplicated().sum() > 5
    splits = split(frame, SplitParameters(folds=4, repeats=3, held_out=0.3))
    divisions = [(splits.development, splits.held_out)]
    divisions += [(fold.train, fold.validate) for fold in splits.folds]
    assert len(divisions) == 13
    for train, judge in divisions:
        for key in ("content_id", "src_sha256", "uploader_id"):
            values = frame[key]
            shared = set(values.iloc[train].dropna()) & set(values.iloc[judge].dropna())
            assert shared == set()
    for repeat in range(3):
        validated = np.concatenate([f.validate for f in splits.folds[4 * repeat : 4 * repeat + 4]])
        assert sorted(validated) == sorted(splits.development)


def test_groups_reach_through_other_rows():
    frame = clips(3, content_id=["x", "x", None], src_sha256=["", "aa", "aa"])
    assert len(set(group_contents(frame))) == 1


def test_held_out_part_is_a_tenth_and_stays_when_clips_are_added():
    few, many = clips(3000), clips(6000)
    first, second = (split(frame, SplitParameters()) for frame in (few, many))
    assert 0.08 < len(first.held_out) / 3000 < 0.12
    assert set(first.held_out) == {i for i in second.held_out if i < 3000}
    shuffled = few.sample(frac=1, random_state=1).reset_index(drop=True)
    again = split(shuffled, SplitParameters())
    names = set(shuffled["clip_name"].iloc[again.held_out])
    assert names == set(few["clip_name"].iloc[first.held_out])


def test_hash_that_becomes_known_moves_no_clip():
    frame = clips(500)
    known = frame.assign(src_sha256=[f"{i:064x}" for i in range(500)])
    first, second = (split(f, SplitParameters()).held_out for f in (frame, known))
    assert list(first) == list(second)


def test_given_split_is_kept():
    frame = clips(60, split=["train"] * 30 + ["val"] * 15 + ["test"] * 15)
    splits = split(frame, SplitParameters())
    assert list(splits.held_out) == list(range(45, 60))
    assert list(splits.development) == list(range(30))
    (fold,) = splits.folds
    assert (list(fold.train), list(fold.validate)) == (list(range(30)), list(range(30, 45)))
    assert splits.policy == "column split for 60 rows"


def test_given_and_assigned_splits_mix():
    given = ["train"] * 40 + ["test"] * 20 + ["val"] * 20 + [None] * 420
    splits = split(clips(500, split=given), SplitParameters(folds=3))
    assert set(range(40, 60)) <= set(splits.held_out)
    assert not set(range(40)) & set(splits.held_out)
    for fold in splits.folds:
        assert set(range(40)) <= set(fold.train) and set(range(60, 80)) <= set(fold.validate)


@pytest.mark.parametrize(
    ("name", "corpus", "found"),
    [
        ("orig_10000251326_540_5s.mp4", "konvid-150k", "10000251326"),
        ("10000251326.mp4", "konvid-1k", "10000251326"),
        ("10000251326.mp4", "chug", None),
        ("orig_synthetic_01_540_5s.mp4", "konvid-150k", None),
    ],
)
def test_flickr_ids(name, corpus, found):
    assert flickr_id(name, corpus) == found


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (clips(4, split=["train", "tset", "train", "train"]), "column split has tset"),
        (clips(4), "contents cannot be divided into 5 folds"),
    ],
)
def test_refusals(frame, message):
    with pytest.raises(InputError, match=message):
        split(frame, SplitParameters())
