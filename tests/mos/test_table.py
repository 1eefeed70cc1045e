from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.table import (
    build_table,
    fingerprint,
    read_frame,
    read_rows,
    uninformative,
    votes_of,
)
from k150k_pipeline.schemas.features import VALUE_COLUMNS
from k150k_pipeline.schemas.mos_parameters import ColumnParameters

NONE = pd.DataFrame()


def features(count: int = 6) -> pd.DataFrame:
    values = np.random.default_rng(2).normal(size=(count, len(VALUE_COLUMNS)))
    frame = pd.DataFrame(values, columns=list(VALUE_COLUMNS))
    frame[["ciede2000_mean", "ciede2000_std"]] = np.nan
    frame["ssimulacra2_mean"], frame["ssimulacra2_std"] = 100.0, 0.0
    frame["psnr_y_mean"] = [60.0, np.nan] * (count // 2)
    frame.insert(0, "clip_name", [f"orig_{i}_540_5s.mp4" for i in range(count)])
    return frame.assign(mos=np.linspace(2, 4, count), width=960, height=[540, 720] * (count // 2))


def corpus(count: int = 6, **change) -> pd.DataFrame:
    row = {
        "src_size_bytes": 500_000, "width": 960, "height": 540, "framerate": 25.0,
        "duration_s": 5.0, "pix_fmt": "yuv420p", "encoder_upstream": "h264", "mos_std_dev": 0.9,
        "n_ratings": 5, "corpus": "konvid-150k", "corpus_version": "v",
        "ingested_at_utc": "2030-01-01T00:00:00+00:00", **change,
    }  # fmt: skip
    mos = np.linspace(2, 4, count)
    return pd.DataFrame(
        [
            {"src": f"orig_{i}_540_5s.mp4", "src_sha256": f"{i:064x}", "mos": mos[i], **row}
            for i in range(count)
        ]
    )


def build(left=None, right=None, **columns):
    left = features() if left is None else left
    right = corpus() if right is None else right
    return build_table(left, right, ColumnParameters(**columns), "konvid-150k")


def test_constant_and_empty_columns_are_dropped_and_listed():
    table = build()
    assert table.dropped["ciede2000_mean"] == "empty"
    assert table.dropped["ssimulacra2_mean"] == table.dropped["ssimulacra2_std"] == "constant"
    assert table.dropped["psnr_y_mean"] == "constant", "one value and gaps do not vary"
    assert table.dropped["width"] == table.dropped["encoder_ugc-mixed"] == "constant"
    assert "height" in table.inputs and not set(table.inputs) & set(table.dropped)
    assert "mos" not in table.inputs
    assert uninformative(table.frame, table.inputs) == {}


def test_metadata_and_counts():
    table = build(right=corpus(4, framerate=0.0))
    assert table.frame["bitrate_kbps"].tolist()[:4] == [800.0] * 4
    assert table.frame["framerate"].isna().all(), "0 stands for unknown"
    assert table.counts["with_corpus_row"] == 4 and table.counts["without_corpus_row"] == 2
    assert table.counts["labels_that_differ_from_the_corpus"] == 3
    assert table.counts["clips_per_corpus"] == {"konvid-150k": 6}


def test_labels_never_become_inputs():
    left = features().assign(mos_raw_0_100=range(6))
    assert not {"mos_raw_0_100", "n_ratings", "mos_std_dev"} & set(build(left).inputs)
    with pytest.raises(InputError, match="'mos_raw_0_100' is a label"):
        build(left, extra=("mos_raw_0_100",))


def test_extra_columns_must_be_numbers():
    left = features().assign(saliency=range(6), name="x")
    assert "saliency" in build(left, extra=("saliency",)).inputs
    with pytest.raises(InputError, match="'name' is not a column of numbers"):
        build(left, extra=("name",))


def test_encoders_collapse_for_konvid_alone():
    mixed = corpus()
    mixed.loc[3:, "corpus"] = "chug"
    mixed.loc[3:, "encoder_upstream"] = ["libx264", "libx265", "libx264"]
    table = build(right=mixed)
    slots = [c for c in table.inputs if c.startswith("encoder_")]
    assert slots == ["encoder_libx264", "encoder_libx265", "encoder_ugc-mixed"]
    assert table.frame["encoder_ugc-mixed"].tolist() == [1, 1, 1, 0, 0, 0]
    mixed.loc[4, "encoder_upstream"] = None
    assert build(right=mixed).frame.filter(like="encoder_").iloc[4, 1:].sum() == 0
    mixed.loc[5, "encoder_upstream"] = "h264"
    with pytest.raises(InputError, match="'h264' of corpus 'chug' has no slot"):
        build(right=mixed)


def test_scores_of_re_encodings_become_inputs_of_their_source():
    fr = pd.DataFrame(
        [
            {
                "nr_source": f"clips/orig_{i}_540_5s.mp4", "crf": crf, "encoder": "libx264",
                "vmaf_score": 90 - crf + i, "adm2_mean": 0.9 + i / 100, "nr_mos": 3.0,
            }
            for i in range(5)
            for crf in (18, 28)
        ]
    )  # fmt: skip
    table = build_table(features(), corpus(), ColumnParameters(), "konvid-150k", fr)
    added = [c for c in table.inputs if c.startswith("fr_")]
    assert added == [
        f"fr_libx264_crf{crf}_{value}" for value in ("vmaf_score", "adm2_mean") for crf in (18, 28)
    ]
    assert table.frame[added[1]].tolist()[:5] == [62, 63, 64, 65, 66]
    assert len(table.frame) == 6 and table.frame[added[0]].isna().sum() == 1
    with pytest.raises(InputError, match="'x264' of corpus 'fr' has no slot"):
        build_table(
            features(), corpus(), ColumnParameters(), "konvid-150k", fr.assign(encoder="x264")
        )


def test_votes_come_from_the_best_source():
    frame = build(right=corpus(4)).frame
    votes, sds, source = votes_of(frame, votes=7, vote_sd=0.5, counted=None)
    assert votes.tolist() == [5, 5, 5, 5, 7, 7]
    assert sds.tolist() == pytest.approx([0.9] * 4 + [0.5] * 2)
    assert source == "corpus rows for 4 of 6 clips, else parameters"
    split_drop = build(right=corpus(mos_std_dev=0.0, n_ratings=0)).frame
    assert votes_of(split_drop, votes=7, vote_sd=0.5, counted=None)[2] == "parameters"
    counted = pd.DataFrame({"votes": 9.0, "vote_sd": 0.8}, index=frame["clip_name"])
    assert votes_of(frame, votes=7, vote_sd=0.5, counted=counted)[2] == "votes CSV"


def test_votes_that_agree_have_an_sd_of_zero_and_count():
    rows = corpus()
    rows["mos_std_dev"] = [0.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    sds = votes_of(build(right=rows).frame, votes=5, vote_sd=9, counted=None)[1]
    assert sds.tolist() == pytest.approx([np.sqrt(4 / 6)] * 6)


def test_fingerprint_depends_on_values_and_no_order():
    table = build()
    shuffled = table.frame.sample(frac=1, random_state=1)
    assert fingerprint(shuffled, table.inputs) == fingerprint(table.frame, table.inputs)
    changed = table.frame.assign(mos=table.frame["mos"] + 1e-9)
    assert fingerprint(changed, table.inputs) != fingerprint(table.frame, table.inputs)


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        (features().assign(mos=0.9), NONE, "6 clips .* have no MOS between 1 and 5: orig_0"),
        (features().assign(clip_name="a"), NONE, "5 clips are in the features table more than"),
        (features().drop(columns="mos"), NONE, "no column 'mos'"),
        (features().head(0), NONE, "has no rows"),
        (features(), pd.concat([corpus(), corpus()]), "6 clips are in the corpus JSONL more"),
        (features(), pd.DataFrame({"a": [1]}), "no key 'src'"),
        (features()[["clip_name", "mos"]], NONE, "all .* input columns .* are empty or constant"),
    ],
)
def test_tables_that_cannot_be_trained_on(left, right, message):
    with pytest.raises(InputError, match=message):
        build(left, right)


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "bad.jsonl").write_text("{")
    with pytest.raises(InputError, match=r"fr_corpus: .*bad\.jsonl is not a file of JSON lines"):
        read_rows(tmp_path / "bad.jsonl", "mos_head.fr_corpus")
    with pytest.raises(InputError, match=r"mos_head\.fr_corpus: .*none\.jsonl: No such file"):
        read_rows(tmp_path / "none.jsonl", "mos_head.fr_corpus")
    (tmp_path / "bad.parquet").write_text("x")
    with pytest.raises(InputError, match=r"predict\.source: .*bad\.parquet"):
        read_frame(tmp_path / "bad.parquet", "predict.source")
    (tmp_path / "good.jsonl").write_text(json.dumps({"a": 1}) + "\n\n")
    assert read_rows(tmp_path / "good.jsonl", "x").to_dict("records") == [{"a": 1}]
