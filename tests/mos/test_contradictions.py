"""Data that contradict each other: each is an error or a warning with its count and names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.splits import flickr_id, group_contents
from k150k_pipeline.mos.table import votes_of
from k150k_pipeline.mos.training import ceiling_of
from k150k_pipeline.pipelines.mos_head.nodes import make_table
from k150k_pipeline.schemas.features import VALUE_COLUMNS
from k150k_pipeline.schemas.mos_parameters import MosHeadParameters

CLIPS = 200
PARAMETERS = MosHeadParameters()


def features(clips: int = CLIPS) -> pd.DataFrame:
    random = np.random.default_rng(31)
    frame = pd.DataFrame(random.normal(size=(clips, len(VALUE_COLUMNS))), columns=VALUE_COLUMNS)
    frame.insert(0, "clip_name", [f"orig_{700_000 + i}_540_5s.mp4" for i in range(clips)])
    return frame.assign(mos=np.round(random.uniform(2, 4, clips), 1))


def corpus(frame: pd.DataFrame, **change: object) -> pd.DataFrame:
    rows = pd.DataFrame({"src": frame["clip_name"], "mos": frame["mos"], "corpus": "konvid-150k"})
    hashes = [f"{i:064x}" for i in range(len(frame))]
    return rows.assign(src_sha256=hashes, encoder_upstream="h264", **change)


def make(frame: pd.DataFrame, rows: pd.DataFrame, parameters=PARAMETERS) -> pd.DataFrame:
    return make_table(pa.Table.from_pandas(frame, preserve_index=False), rows, parameters)[
        0
    ].to_pandas()


def test_data_that_agree_give_no_warning(caplog):
    make(features(), corpus(features()))
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_corpus_of_other_labels_is_refused():
    frame = features()
    rows = corpus(frame).assign(mos=frame["mos"].to_numpy()[::-1])
    with pytest.raises(InputError, match=r"\d+ of 200 clips have another MOS .* orig_7"):
        make(frame, rows)


def test_few_other_labels_are_named(caplog):
    frame = features()
    rows = corpus(frame)
    rows.loc[[5, 6], "mos"] += 0.5
    make(frame, rows)
    assert "2 of 200 clips have another MOS in the corpus JSONL" in caplog.text
    assert "up to 0.5 apart: orig_700005_540_5s.mp4, orig_700006_540_5s.mp4" in caplog.text


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        (lambda name: f"other_{name}", "none of the 200 clips .*: give the corpus JSONL of these"),
        (str.upper, "none of the 200 clips .* 200 would after a change of case"),
    ],
)
def test_corpus_that_matches_no_clip_is_refused(rename, message):
    rows = corpus(features())
    with pytest.raises(InputError, match=message):
        make(features(), rows.assign(src=rows["src"].map(rename)))


def test_some_names_in_another_case_are_named(caplog):
    rows = corpus(features())
    rows.loc[3, "src"] = rows.loc[3, "src"].upper()
    make(features(), rows)
    assert "1 clips have a row in the corpus JSONL only after a change of case" in caplog.text
    assert "orig_700003_540_5s.mp4" in caplog.text


def test_equal_bytes_with_two_opinions_are_named(caplog):
    frame = features()
    frame.loc[[3, 20], "mos"] = [1.2, 4.6]
    rows = corpus(frame)
    rows.loc[20, "src_sha256"] = rows.loc[3, "src_sha256"]
    made = make(frame, rows)
    assert "2 clips share their bytes (src_sha256) with a clip of another MOS" in caplog.text
    assert "up to 3.4 apart: orig_700003_540_5s.mp4, orig_700020_540_5s.mp4" in caplog.text
    assert "2 clips are copies under another name" in caplog.text
    assert made.loc[3, "content"] == made.loc[20, "content"]


def test_copies_under_another_name_are_on_one_side(caplog):
    """Half the clips are there twice, and no corpus row has a hash."""
    frame = features()
    copies = frame[:100].assign(clip_name=[f"orig_{900_000 + i}_540_5s.mp4" for i in range(100)])
    both = pd.concat([frame, copies], ignore_index=True)
    made = make(both, pd.DataFrame())
    assert "200 clips are copies under another name, by equal bytes or equal" in caplog.text
    assert (made["part"][:100].to_numpy() == made["part"][200:].to_numpy()).all()
    assert (made["content"][:100].to_numpy() == made["content"][200:].to_numpy()).all()
    assert made["content"].nunique() == 200 and made["part"].nunique() == 2


def test_copies_through_float32_are_copies():
    frame = features(20)
    copies = frame.assign(clip_name=[f"orig_{900_000 + i}_540_5s.mp4" for i in range(20)])
    copies[list(VALUE_COLUMNS)] = copies[list(VALUE_COLUMNS)].astype(np.float32)
    both = pd.concat([frame, copies], ignore_index=True).assign(corpus="konvid-150k")
    assert len(set(group_contents(both))) == 20


def test_given_split_with_copies_on_both_sides_is_refused():
    frame = features().assign(split="train")
    frame.loc[150:, "split"] = "test"
    frame.loc[180, list(VALUE_COLUMNS)] = frame.loc[4, list(VALUE_COLUMNS)]
    with pytest.raises(InputError, match="1 contents are both in training and in split 'test'"):
        make(frame, pd.DataFrame())


def test_values_that_identify_no_clip_join_none():
    frame = features(20).assign(corpus="x")
    frame[list(VALUE_COLUMNS)] = 1.0
    frame["motion_mean"] = [0.0, 1.0] * 10
    assert len(set(group_contents(frame))) == 20
    still = features(40).assign(corpus="x")
    still.loc[10:, list(VALUE_COLUMNS)] = 0.0
    still.loc[10:, "vmaf_mean"], still["psnr_y_mean"] = 97.43, [60.0, 72.0] * 20
    assert len(set(group_contents(still))) == 40, "still clips without banding are no copies"
    unknown = features(20).assign(corpus="x")
    unknown.loc[5:, list(VALUE_COLUMNS)] = np.nan
    assert len(set(group_contents(unknown))) == 20


@pytest.mark.parametrize(
    "name",
    [
        "700123_540p.mp4", "700123_540_5s.mp4", "ORIG_700123_540_5S.MP4", "konvid_700123.mp4",
        "700123-540p.webm", "700123.540p.mp4", "700123 (1).mp4", "700123",
    ],
)  # fmt: skip
def test_spellings_of_a_flickr_id_are_one_content(name):
    assert flickr_id(name, "konvid-150k") == "700123"
    frame = pd.DataFrame({"clip_name": ["orig_700123_540_5s.mp4", name], "corpus": "konvid-1k"})
    assert len(set(group_contents(frame))) == 1
    assert flickr_id(name, "chug") is None


@pytest.mark.parametrize(
    "name", ["orig_synthetic_01_540_5s.mp4", "clip540_5s.mp4", "a1b700123.mp4"]
)
def test_other_numbers_are_no_flickr_id(name):
    assert flickr_id(name, "konvid-150k") is None


def test_one_vote_per_clip_is_one_vote():
    frame = pd.DataFrame({"n_ratings": [1.0] * 50, "mos_std_dev": [0.0] * 50, "clip_name": "x"})
    votes, sds, source = votes_of(frame, votes=5, vote_sd=0.93, counted=None)
    assert set(votes) == {1.0} and set(sds) == {0.93}
    assert source == "corpus rows, the SD from parameters"
    random = np.random.default_rng(2)
    labels = np.clip(np.rint(random.normal(3, 1.1, 50)), 1, 5)
    assert ceiling_of(frame.assign(mos=labels), PARAMETERS).votes == 1
    mixed = frame.assign(n_ratings=[1.0] * 25 + [9.0] * 25, mos_std_dev=[0.0] * 25 + [0.8] * 25)
    votes, sds, _ = votes_of(mixed, votes=5, vote_sd=0.93, counted=None)
    assert votes[0] == 1 and sds[0] == pytest.approx(0.8)


@pytest.mark.parametrize("score", [lambda v: f"{v}", lambda v: f"{v}".replace(".", ",")])
def test_mos_as_text_is_refused(score):
    frame = features()
    with pytest.raises(InputError, match=r"column 'mos' of the features table contains '\d[.,]\d'"):
        make(frame.assign(mos=frame["mos"].map(score)), pd.DataFrame())


def test_too_few_clips_are_refused_before_the_first_fit():
    splits = PARAMETERS.splits.model_copy(update={"held_out": 0.001})
    with pytest.raises(InputError, match="no clip is held out"):
        make(features(20), pd.DataFrame(), PARAMETERS.model_copy(update={"splits": splits}))
    with pytest.raises(InputError, match="clips are left to fit a model on"):
        make(features(4).assign(split=["train", "train", "val", "test"]), pd.DataFrame())


def test_votes_are_read_before_the_first_fit(tmp_path):
    (tmp_path / "votes.csv").write_text("video_name,score\na,1\nb,2\n")
    ceiling = PARAMETERS.ceiling.model_copy(update={"votes_csv": tmp_path / "votes.csv"})
    with pytest.raises(InputError, match="no clip has two votes"):
        make(features(), pd.DataFrame(), PARAMETERS.model_copy(update={"ceiling": ceiling}))


def test_votes_of_other_clips_are_refused(tmp_path):
    (tmp_path / "votes.csv").write_text("video_name,score\na,1\na,2\n")
    ceiling = PARAMETERS.ceiling.model_copy(update={"votes_csv": tmp_path / "votes.csv"})
    with pytest.raises(InputError, match=r"no vote for any of 200 clips .*; its first are a\."):
        make(features(), pd.DataFrame(), PARAMETERS.model_copy(update={"ceiling": ceiling}))


def test_feature_as_text_is_refused():
    frame = features().assign(motion_mean="1,5")
    with pytest.raises(InputError, match="column 'motion_mean' of the table is not a column of"):
        make(frame, pd.DataFrame())
