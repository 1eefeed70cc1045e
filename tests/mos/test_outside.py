"""Clips that are unlike those of the training: what is predicted for them, and what is reported."""

from __future__ import annotations

import json
import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from k150k_pipeline.datasets import ModelSet
from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.engines import disagreement, engines_of, mixed
from k150k_pipeline.mos.finished import NOTHING_KEPT
from k150k_pipeline.pipelines.mos_head.nodes import cross_validate, make_table, train
from k150k_pipeline.pipelines.predict.nodes import predict
from k150k_pipeline.schemas.mos_parameters import MosHeadParameters, PredictParameters
from k150k_pipeline.schemas.parameters import VmafParameters
from tests.mos.test_inputs import identity_corpus

EMBEDDED = {"backend": "embedded", "engine": "ffmpeg-libvmaf", "version": "n9", "rows": 400}
CUDA = {**EMBEDDED, "backend": "cuda", "rows": 7}
PARAMETERS = MosHeadParameters.model_validate(
    {
        "models": ["ridge", "mlp"], "seeds": [0, 1], "bootstrap_draws": 10, "importance_rows": 20,
        "importance_repeats": 1, "splits": {"folds": 2}, "mlp": {"hidden": [8], "epochs": 20},
    }
)  # fmt: skip


def table_of(frame: pd.DataFrame, **engines: dict) -> pa.Table:
    description = json.dumps({"rows_scored_with": engines}).encode()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return table.replace_schema_metadata({b"k150k": description})


def corpus_of(frame: pd.DataFrame, seconds: float) -> pd.DataFrame:
    sizes = 300_000 + 1000 * (np.arange(len(frame)) % 97)
    return pd.DataFrame(
        {
            "src": frame["clip_name"], "src_size_bytes": sizes * seconds / 5, "corpus": "konvid-1k",
            "duration_s": seconds, "framerate": 25.0, "mos": frame["mos"], "encoder_upstream": "x",
            "corpus_version": "v2017",
        }
    )  # fmt: skip


def model_set(kind: str) -> ModelSet:
    frame = identity_corpus()
    parameters = PARAMETERS.model_copy(update={"export": kind})
    made, facts = make_table(table_of(frame, a=EMBEDDED), corpus_of(frame, 5.0), parameters)
    rows = made.to_pandas()
    results = [cross_validate(rows, facts, parameters, kind=k) for k in ("ridge", "mlp")]
    return ModelSet("v", train(rows, facts, parameters, NOTHING_KEPT, *results)[2])


@pytest.fixture(scope="module", params=["ridge", "mlp"])
def trained(request) -> ModelSet:
    return model_set(request.param)


def ask(trained: ModelSet, tmp_path, frame: pd.DataFrame, seconds: float, engine=EMBEDDED, **more):
    source, corpus = tmp_path / "clips.parquet", tmp_path / "clips.jsonl"
    pq.write_table(table_of(frame, **({"a": engine} if engine else {})), source)
    corpus_of(frame, seconds).to_json(corpus, orient="records", lines=True)
    parameters = PredictParameters(source=source, corpus_jsonl=corpus, **more)
    return predict(trained, parameters, VmafParameters())


def test_clips_like_those_of_the_training_are_not_flagged(trained, tmp_path, caplog):
    frame = identity_corpus()
    found = ask(trained, tmp_path, frame, 5.0)
    assert list(found) == ["clip_name", "predicted_mos", "outside", "outside_columns"]
    assert found["outside"].mean() < 0.02, "the held-out part may have a new extreme"
    caplog.clear()
    like = ask(trained, tmp_path, frame[~found["outside"]], 5.0, outside="refuse")
    assert not like["outside"].any() and set(like["outside_columns"]) == {""}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_longer_clips_are_reported_by_clip_and_column(trained, tmp_path, caplog):
    """Eight seconds, through a model of five-second clips: seconds are no input, but they count."""
    frame = identity_corpus(10)
    found = ask(trained, tmp_path, frame, 8.0)
    assert found["outside"].all()
    assert all("duration_s" in columns.split() for columns in found["outside_columns"])
    assert "10 of 10 clips are outside what the model was trained on" in caplog.text
    assert "duration_s (10 clips)" in caplog.text
    with pytest.raises(InputError, match=r"clips\.parquet: 10 of 10 clips are outside"):
        ask(trained, tmp_path, frame, 8.0, outside="refuse")


def test_value_far_outside_is_clipped_and_named(trained, tmp_path):
    frame = identity_corpus(10)
    wild = frame.copy()
    wild.loc[3, "motion_mean"] = 1e6
    usual, found = (ask(trained, tmp_path, f, 5.0) for f in (frame, wild))
    assert found["outside"].tolist() == [i == 3 for i in range(10)]
    assert found["outside_columns"][3] == "motion_mean"
    wild.loc[3, "motion_mean"] = 1e9
    further = ask(trained, tmp_path, wild, 5.0)
    assert further["predicted_mos"][3] == found["predicted_mos"][3]
    assert 1.2 < found["predicted_mos"][3] < 4.8, "the clamp must not be what holds it"
    others = [i for i in range(10) if i != 3]
    assert (found["predicted_mos"][others] == usual["predicted_mos"][others]).all()


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (CUDA, "another engine than cuda ffmpeg-libvmaf n9 (7 rows), namely embedded"),
        (None, "no engine is recorded"),
    ],
)
def test_engine_of_a_parquet_is_compared(trained, tmp_path, caplog, engine, words):
    ask(trained, tmp_path, identity_corpus(10), 5.0, engine)
    assert words in caplog.text


def test_engine_of_the_judge_is_compared_and_recorded(tmp_path, caplog):
    frame = identity_corpus()
    judge = identity_corpus(50).assign(clip_name=[f"judge_{i}.mp4" for i in range(50)])
    pq.write_table(table_of(judge, b=CUDA), tmp_path / "judge.parquet")
    parameters = PARAMETERS.model_copy(update={"judge_features": tmp_path / "judge.parquet"})
    _, facts = make_table(table_of(frame, a=EMBEDDED), corpus_of(frame, 5.0), parameters)
    assert "mos_head.judge_features: the model was trained on features of another" in caplog.text
    assert facts["judge_scored_with"] == {"b": CUDA}


def test_mixed_engines_of_a_table_are_reported_with_their_rows(caplog):
    frame = identity_corpus()
    make_table(table_of(frame, a=EMBEDDED, b=CUDA), corpus_of(frame, 5.0), PARAMETERS)
    assert "scored by several engines" in caplog.text
    assert "embedded ffmpeg-libvmaf n9 (400 rows); cuda ffmpeg-libvmaf n9 (7 rows)" in caplog.text
    assert mixed({"a": EMBEDDED, "b": {**EMBEDDED, "rows": 3}}) is None, "one engine, two plans"


def test_model_card_is_written_for_a_person(trained):
    card = trained.files["MODEL_CARD.md"].decode()
    assert "{" not in card and "[0, 1]" not in card and "e+0" not in card
    assert "- Features scored with: embedded ffmpeg-libvmaf n9 (400 rows)." in card
    assert "- The table has 400 clips of konvid-1k." in card
    assert "- Version of the corpus: v2017." in card
    assert "- MOS: mean 2." in card and ", range 1." in card
    assert "| ridge | 0." in card and "| mlp | " in card
    assert "| ridge | repeat 0 fold 0 | " in card and "| mlp | repeat 0 fold 1 | " in card
    assert "| RMSE after |" in card and "undefined" not in card
    assert "after the logistic fit PLCC 0." in card
    assert "left out: rounding: `adm2_mean`, `vif_scale0_mean`," in card


def test_foreign_metadata_are_no_engine():
    for metadata in (None, {}, {b"k150k": b""}, {b"k150k": b"["}, {b"k150k": b"[1]"}):
        assert engines_of(metadata) == {}
    assert disagreement({"a": EMBEDDED}, {}, "x") is None


def test_model_set_of_an_older_version_predicts_and_asks_for_a_new_one(trained, tmp_path, caplog):
    facts = json.loads(trained.files["mos_head.json"])
    facts["inputs"] = [
        {k: v for k, v in entry.items() if k not in ("low", "high")} for entry in facts["inputs"]
    ]
    del facts["metadata"], facts["data"]["judge_scored_with"]
    older = ModelSet("v", {**trained.files, "mos_head.json": json.dumps(facts).encode()})
    frame = identity_corpus(10)
    found = ask(older, tmp_path, frame, 8.0)
    assert "run mos_head again" in caplog.text and found["outside"].isna().all()
    assert (found["predicted_mos"] == ask(trained, tmp_path, frame, 8.0)["predicted_mos"]).all()
    with pytest.raises(InputError, match="run mos_head again"):
        ask(older, tmp_path, frame, 8.0, outside="refuse")
