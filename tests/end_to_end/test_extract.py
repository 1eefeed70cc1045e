"""The extract pipeline by its command line, on real clips, in a project of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from k150k_pipeline.schemas.features import COLUMNS, FeatureRow
from tests.support.journals import journaled
from tests.support.victim import Victim

EMBEDDED = "vmaf.backend=embedded"
"""Engine of both plans, so that two runs differ in their plan alone."""


@pytest.fixture
def corpus(project, tiny_clips):
    project.names = project.add_clips(tiny_clips)
    return project


def report(project) -> dict:
    return json.loads(project.report.read_text())


def test_one_row_per_good_clip_and_every_clip_accounted_for(corpus, tiny_clips):
    names = corpus.names
    (corpus.clips / names[0]).unlink()
    whole = (corpus.clips / names[1]).read_bytes()
    (corpus.clips / names[1]).unlink()
    (corpus.clips / names[1]).write_bytes(whole[: len(whole) // 2])
    shutil.copy(tiny_clips / names[2], corpus.clips / "unlabelled.mp4")
    output = corpus.run(params="extract.max_failure_rate=0.5")

    table = corpus.table()
    assert tuple(table.columns) == COLUMNS
    assert table["clip_name"].tolist() == sorted(names[2:])
    for row in table.to_dict("records"):
        FeatureRow.model_validate(row)
    constant = table[["psnr_y_mean", "float_ssim_mean", "ssimulacra2_mean", "adm2_mean"]]
    assert constant.nunique().tolist() == [1, 1, 1, 1]
    assert table[["ciede2000_mean", "psnr_hvs_std"]].isna().all(axis=None)
    assert table["motion_mean"].nunique() == len(table)

    failures = pd.read_csv(corpus.failures)
    assert failures["clip_name"].tolist() == [names[1]]
    assert failures["reason"].tolist() == ["truncated"]
    assert report(corpus)["labels_without_clip"] == [names[0]]
    assert report(corpus)["clips_without_label"] == ["unlabelled.mp4"]
    assert corpus.done.read_text().splitlines() == sorted(names[2:])
    assert "6 of 7 clips have a row" in output and "1 x truncated" in output
    assert str(corpus.features) in output


def test_clips_that_may_lack_their_end_are_named(project, tiny_clips, make_clip):
    """A file cut between two of its fragments has a row, and is named; what is no clip has none."""
    fragments = ("-g", "5", "-movflags", "frag_keyframe+empty_moov+default_base_moof")
    body = make_clip(*fragments, source="testsrc2=s=256x256:r=25:d=0.4").read_bytes()
    for path in sorted(tiny_clips.glob("*.mp4"))[:2]:
        shutil.copy(path, project.clips)
    names = [path.name for path in project.clips.iterdir()]
    (project.clips / "half.mp4").write_bytes(body[: body.rindex(b"moof") - 4])
    (project.clips / "list.mp4").write_text("ffconcat version 1.0\n" + f"file {names[0]}\n" * 2)
    os.mkfifo(project.clips / "pipe.mp4")
    project.write_scores(dict.fromkeys([*names, "half.mp4", "list.mp4", "pipe.mp4"], 3.0))
    output = project.run(params="extract.max_failure_rate=0.5")

    assert project.table()["clip_name"].tolist() == sorted([*names, "half.mp4"])
    found = report(project)
    assert found["completeness_unknown"] == ["half.mp4"]
    assert found["counts"]["completeness_unknown"] == 1
    assert "1 clip of unknown completeness: half.mp4" in output
    failures = pd.read_csv(project.failures).set_index("clip_name")["reason"].to_dict()
    assert failures == {"list.mp4": "not_media", "pipe.mp4": "not_a_file"}


def test_parquet_says_what_it_was_made_with(corpus):
    corpus.run(params="vmaf.backend=embedded")
    metadata = json.loads(pq.read_schema(corpus.features).metadata[b"k150k"])
    ((key, scored),) = metadata["rows_scored_with"].items()
    assert metadata["schema_version"] == 1 and metadata["package"].startswith("k150k-pipeline ")
    assert scored["rows"] == 8 and scored["plan"] == "identity"
    assert scored["engine"] == "ffmpeg-libvmaf" and scored["version"].startswith("n")
    assert scored["model"] == "vmaf_v0.6.1" and len(key) == 16


def test_every_runner_and_shard_count_yields_the_same_bytes(corpus):
    corpus.run(default_runner=True)
    expected = corpus.features.read_bytes()
    for arguments, params, default_runner in (
        (("--runner=SequentialRunner",), "", False),
        (("--runner=ParallelRunner", "--runner-params=max_workers=2"), "", False),
        ((), "extract.shards=5,extract.workers=1", True),
    ):
        shutil.rmtree(corpus.root / "data/02_intermediate")
        shutil.rmtree(corpus.root / "data/04_feature")
        corpus.run(*arguments, params=params, default_runner=default_runner)
        assert corpus.features.read_bytes() == expected, arguments


def test_second_run_does_nothing_and_new_clips_are_added(corpus, tiny_clips):
    corpus.run()
    before, files = corpus.features.read_bytes(), sorted(corpus.journal.glob("shard-*"))
    corpus.run()
    assert corpus.features.read_bytes() == before
    assert sorted(corpus.journal.glob("shard-*")) == files
    shutil.copy(tiny_clips / corpus.names[0], corpus.clips / "new.mp4")
    corpus.write_scores({**dict.fromkeys(corpus.names, 3.0), "new.mp4": 2.0})
    corpus.run(params="extract.shards=3")
    assert report(corpus)["counts"]["newly_finished"] == 1
    assert len(corpus.table()) == 9
    assert set(corpus.table()["mos"]) == {2.0, 3.0}


def test_limit_continues_where_the_last_run_stopped(corpus):
    corpus.run(params="extract.limit=3")
    assert len(corpus.table()) == 3
    assert report(corpus)["counts"]["not_yet_tried"] == 5
    corpus.run(params="extract.limit=3")
    assert len(corpus.table()) == 3
    corpus.run()
    assert len(corpus.table()) == 8


def test_failed_clips_are_tried_again_up_to_the_limit(corpus):
    bad = corpus.clips / corpus.names[0]
    bad.unlink()
    bad.write_bytes(b"nothing")
    for limit, attempts in ((2, 1), (2, 2), (2, 2), (3, 3)):
        corpus.run(params=f"extract.max_attempts={limit},extract.max_failure_rate=1")
        row = pd.read_csv(corpus.failures).iloc[0]
        assert (row["attempts"], row["given_up"]) == (attempts, attempts == limit)
        assert len(corpus.table()) == 7


def test_too_many_failures_end_non_zero_after_the_good_rows_are_written(corpus):
    for name in corpus.names[:3]:
        (corpus.clips / name).unlink()
        (corpus.clips / name).write_bytes(b"nothing")
    output = corpus.run(ok=False)
    assert "3 of 8 clips failed (37.5%" in output and "Traceback" not in output
    assert len(corpus.table()) == 5
    assert len(corpus.done.read_text().splitlines()) == 5


def test_verification_is_done_once_per_engine(corpus):
    corpus.run(params="extract.verify_clips=1")
    verdicts = (corpus.journal / "verified.jsonl").read_text()
    assert len(json.loads(verdicts)["clips"]) == 1
    shutil.rmtree(corpus.root / "data/04_feature")
    for path in corpus.journal.glob("shard-*"):
        path.unlink()
    output = corpus.run(params="extract.verify_clips=1")
    assert "already verified" in output


def test_full_plan_of_its_own_and_mixing_refused(corpus):
    corpus.run(params=f"{EMBEDDED},extract.limit=1")
    identity = corpus.table()
    output = corpus.run(params=f"{EMBEDDED},extract.plan=full,extract.limit=1", ok=False)
    assert "1 rows with plan='identity' (now 'full')" in output
    assert "on_engine_change=rescore" in output and "Traceback" not in output
    assert corpus.table().equals(identity)
    corpus.run(
        params=f"{EMBEDDED},extract.plan=full,extract.limit=1,extract.on_engine_change=rescore"
    )
    full = corpus.table()
    assert len(full) == 1
    numbers = list(COLUMNS[4:])
    np.testing.assert_allclose(full[numbers], identity[numbers], atol=3e-3)
    corpus.run(params=f"{EMBEDDED},extract.on_engine_change=mix,extract.limit=2")
    assert len(corpus.table()) == 2
    assert rows_by_plan(corpus) == {"identity": 2}
    params = f"{EMBEDDED},extract.plan=full,extract.limit=2,extract.on_engine_change="
    corpus.run(params=f"{params}rescore")
    corpus.run(params=f"{params}refuse")
    assert rows_by_plan(corpus) == {"full": 2}


def rows_by_plan(project) -> dict[str, int]:
    metadata = json.loads(pq.read_schema(project.features).metadata[b"k150k"])
    assert metadata["rows_scored_with"] == report(project)["rows_scored_with"]
    return {s["plan"]: s["rows"] for s in metadata["rows_scored_with"].values()}


def test_metadata_columns_follow_the_48(corpus):
    sidecar = corpus.root / "sidecar.jsonl"
    rows = [{"src": f"x/{n}", "content_id": "beach"} for n in corpus.names[:5]]
    sidecar.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus.run(params=f"extract.metadata_jsonl={sidecar}")
    table = corpus.table()
    assert tuple(table.columns[:48]) == COLUMNS
    assert table.columns[48:].tolist() == [
        "content_id", "bitrate_ladder_id", "mos_raw_0_100",
        "split", "chug_split_key", "chug_split_policy",
    ]  # fmt: skip
    assert table["content_id"].notna().sum() == 5
    assert report(corpus)["metadata"] == {"matched": 5, "missing": 3}


def test_corpus_b_has_its_own_output(corpus):
    corpus.clips.rename(corpus.drop / "k150kb_extracted")
    corpus.scores.rename(corpus.drop / "k150kb_scores.csv")
    corpus.run(params="extract.corpus=k150kb")
    table = pd.read_parquet(corpus.root / "data/04_feature/full_features_k150kb.parquet")
    assert len(table) == 8 and not corpus.features.exists()


def test_paths_on_the_command_line(corpus, tmp_path):
    moved = tmp_path / "elsewhere"
    corpus.clips.rename(moved)
    scores = corpus.scores.rename(tmp_path / "s.csv")
    out = tmp_path / "o/features.parquet"
    places = f"clips_dir={moved},scores={scores},out={out},journal={tmp_path}/j"
    corpus.run(params=places)
    assert len(pd.read_parquet(out)) == 8 and out.with_suffix(".done").exists()


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ("extract.plan=ful,extract.limit=0,vmaf.backend=gpu", ["plan", "limit", "backend"]),
        ("extract.plna=full", ["extract.plna is unknown. Did you mean extract.plan?"]),
        ("vmaf.backend=cpu", ["core/build-cpu/tools/vmaf does not exist", "vmaf.cpu_binary"]),
        ("vmaf.backend=cuda", ["core/build-cpu/tools/vmaf does not exist", "github.com/lusoris"]),
        ("vmaf.ffmpeg=/nowhere/ffmpeg", ["/nowhere/ffmpeg does not exist"]),
        ("extract.metadata_jsonl=/nowhere.jsonl", ["/nowhere.jsonl", "No such file"]),
        ("clips_dir=/nowhere", ["clip folder /nowhere does not exist"]),
        ("scores=/nowhere.csv", ["/nowhere.csv"]),
    ],
)
def test_mistakes_are_refused_before_any_clip_is_touched(corpus, params, expected):
    output = corpus.run(params=params, ok=False)
    for text in expected:
        assert text in output
    assert "Traceback" not in output
    assert not list(corpus.journal.glob("shard-*"))


def test_a_block_in_conf_local_leaves_the_other_parameters_alone(corpus):
    (corpus.root / "conf/base/parameters_extract.yml").write_text("extract: {limit: 3}")
    (corpus.root / "conf/local/parameters.yml").write_text("extract: {shards: 2}")
    corpus.run()
    assert len(corpus.table()) == 3
    assert len(list((corpus.journal / "run").glob("tally_*"))) == 2


def test_two_labels_for_one_clip_are_refused(corpus):
    stem = corpus.names[0].removesuffix(".mp4")
    corpus.write_scores({corpus.names[0]: 3.0, stem: 4.0})
    assert "two rows name the clip" in corpus.run(ok=False)
    corpus.write_scores({stem: 4.0})
    corpus.run()
    assert corpus.table()["clip_name"].tolist() == [corpus.names[0]]


def test_names_that_are_not_utf8_are_reported(corpus):
    source = os.fsencode(corpus.clips / corpus.names[0])
    os.link(source, os.fsencode(corpus.clips) + b"/bad\xff.mp4")
    corpus.run()
    assert len(report(corpus)["clips_without_label"]) == 1


def test_wrong_folder_is_named_with_an_example(corpus):
    for name in corpus.names:
        (corpus.clips / name).rename(corpus.clips / f"other_{name}")
    output = corpus.run(ok=False)
    assert "none of the 8 labels names a clip" in output and "other_orig" in output


def test_second_run_on_the_same_output_is_refused(corpus, tiny_clips):
    corpus.add_clips(tiny_clips, copies=4)
    first = Victim.fork(corpus.extract(), corpus.root)
    assert first.reaches(lambda: journaled(corpus.journal).total() > 0)
    os.killpg(first.pid, signal.SIGSTOP)
    output = corpus.run(ok=False)
    assert f"process {first.pid} on host" in output and "Traceback" not in output
    status = corpus.kedro("extract-status")
    assert f"running: process {first.pid}" in status and "clips/s, ETA" in status
    os.killpg(first.pid, signal.SIGCONT)
    assert first.process.wait() == 0
    status = corpus.kedro("extract-status")
    assert "not running" in status and "wanted 32, done 32" in status and "due 0" in status
