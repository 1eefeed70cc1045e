from __future__ import annotations

import pandas as pd
import pytest

from k150k_pipeline.datasets import AtomicCSVDataset
from k150k_pipeline.errors import InputError
from k150k_pipeline.schemas.corpus import CORPUS_COLUMNS
from k150k_pipeline.schemas.labels import read_labels


def csv(tmp_path, text: str, encoding: str = "utf-8") -> pd.DataFrame:
    path = tmp_path / "scores.csv"
    path.write_bytes(text.encode(encoding))
    return AtomicCSVDataset(filepath=str(path)).load()


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("video_name,video_score\na.mp4,3.2\n", "utf-8"),
        ("video_name,video_score\r\na.mp4,3.2\r\n", "utf-8-sig"),
        ("file_name,MOS\na.mp4,3.2\n", "utf-8"),
        ("video_name,mos,video_score\na.mp4,3.2,0.64\n", "utf-8"),
        ('"video_name","video_score"\n"a.mp4","3.2"\n', "utf-8"),
    ],
)
def test_every_shipped_spelling(tmp_path, text, encoding):
    assert read_labels(csv(tmp_path, text, encoding)).mos == {"a.mp4": 3.2}


def test_missing_column_names_what_is_there(tmp_path):
    with pytest.raises(InputError, match=r"no column with scores.*found are video_name, rating"):
        read_labels(csv(tmp_path, "video_name,rating\na,3\n"))


def test_fractions_of_five_are_refused_with_the_way_out(tmp_path):
    frame = csv(tmp_path, "video_name,video_score\na,0.64\nb,1.0\n")
    with pytest.raises(InputError, match=r"score_scale=fraction_of_five"):
        read_labels(frame)
    assert read_labels(frame, scale="fraction_of_five").mos == {"a": 3.2, "b": 5.0}


BAD = "video_name,video_score\na,3.0\nb,\nc,5.2\nd,nan\n,2.0\na,4.0\ne,x\nf,1.0\n"


def test_all_bad_rows_are_listed_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        read_labels(csv(tmp_path, BAD))
    message = str(caught.value)
    for line in (3, 4, 5, 6, 7, 8):
        assert f"line {line}:" in message
    assert "6 bad rows" in message and "bad_labels=skip" in message


def test_bad_rows_can_be_left_out(tmp_path):
    labels = read_labels(csv(tmp_path, BAD), bad_rows="skip")
    assert labels.mos == {"a": 3.0, "f": 1.0}
    assert len(labels.skipped) == 6


def test_a_corpus_has_mos_whatever_the_scores_csv_has():
    frame = pd.DataFrame([dict.fromkeys(CORPUS_COLUMNS, 0) | {"src": n, "mos": n} for n in (1, 3)])
    labels = read_labels(frame, scale="fraction_of_five", bad_rows="skip")
    assert labels.mos == {"1": 1.0, "3": 3.0}
