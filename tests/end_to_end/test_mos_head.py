"""``mos_head``, ``predict`` and ``protocol`` by the command line."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from k150k_pipeline.datasets.model_set import read_current
from k150k_pipeline.mos.predict import OnnxHead
from k150k_pipeline.pipelines.mos_head.pipeline import FIGURES
from k150k_pipeline.schemas.features import COLUMNS, VALUE_COLUMNS
from tests.conftest import KEDRO, Project, copy_project
from tests.support.pages import ReadPage
from tests.support.screen import TerminalRun
from tests.support.victim import Victim
from tests.support.waiting import HANG_GUARD_S

pytestmark = pytest.mark.xdist_group("mos_head")  # the head is trained once

CLIPS = 300
FEATURES = "data/04_feature/full_features_konvid_150k.parquet"
SMALL = """
mos_head:
  models: [ridge, trees]
  seeds: [0, 1]
  bootstrap_draws: 20
  importance_rows: 50
  importance_repeats: 1
  splits: {folds: 2}
  trees: {iterations: 10, min_leaf: 5}
protocol:
  splits: 3
  exclude: [width, height]
  grid: {c_log2: [1, 5, 2], gamma_log2: [-6, -2, 2], epsilon: 0.1, tolerance: 0.001}
"""
SAMPLE = "--params=sample.seconds=0.3,extract.verify_clips=0"


def made_up(count: int, seed: int, votes: int) -> pd.DataFrame:
    """Return features whose opinions depend on motion and banding, with labels of some votes."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(count, len(VALUE_COLUMNS)))
    frame = pd.DataFrame(values, columns=list(VALUE_COLUMNS))
    frame[["ciede2000_mean", "ciede2000_std"]] = np.nan
    opinion = 3 + 0.6 * np.tanh(frame["motion_mean"] - 0.6 * frame["cambi_mean"])
    ballots = np.rint(opinion.to_numpy()[:, None] + 0.89 * draw.normal(size=(count, votes)))
    names = [f"orig_{seed}{i:06d}_540_5s.mp4" for i in range(count)]
    frame = frame.assign(clip_name=names, width=960, height=540)
    return frame.assign(mos=np.clip(ballots, 1, 5).mean(axis=1))[list(COLUMNS)]


def corpus_rows(frame: pd.DataFrame) -> str:
    rows = [
        {
            "src": name, "src_sha256": hashlib.sha256(name.encode()).hexdigest(),
            "src_size_bytes": 400_000 + 1000 * (i % 97), "width": 960, "height": 540,
            "framerate": [25.0, 30.0][i % 2], "duration_s": 5.0, "pix_fmt": "yuv420p",
            "encoder_upstream": "h264", "mos": mos, "mos_std_dev": 0.0, "n_ratings": 0,
            "corpus": "konvid-150k", "corpus_version": "konvid-150k-2019",
            "ingested_at_utc": "2030-01-01T00:00:00+00:00",
        }
        for i, (name, mos) in enumerate(zip(frame["clip_name"], frame["mos"], strict=True))
    ]  # fmt: skip
    return "".join(json.dumps(row) + "\n" for row in rows)


class Head:
    """A project with a made-up training table."""

    def __init__(self, root: Path) -> None:
        self.project = Project(copy_project(root))
        self.project.features = root / FEATURES
        self.root = root
        (root / "conf/local/parameters.yml").write_text(SMALL)
        self.write(made_up(CLIPS, seed=1, votes=5))
        self.models = root / "data/06_models/mos_head"
        self.finished = root / "data/02_intermediate/mos_head_finished"

    def write(self, frame: pd.DataFrame) -> None:
        self.project.features.parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(self.project.features)
        corpus = self.root / "data/02_intermediate/konvid_150k.jsonl"
        corpus.parent.mkdir(parents=True, exist_ok=True)
        corpus.write_text(corpus_rows(frame))

    def run(self, *arguments: str, ok: bool = True, default_runner: bool = False) -> str:
        command = ("run", "--pipelines=mos_head", *arguments)
        return self.project.kedro(*command, ok=ok, default_runner=default_runner)

    def copy(self, root: Path) -> Head:
        """Return a project like this one, its results included."""
        shutil.copytree(self.root, root, symlinks=True, dirs_exist_ok=True)
        return Head.at(root)

    @classmethod
    def at(cls, root: Path) -> Head:
        head = cls.__new__(cls)
        head.root, head.models = root, root / "data/06_models/mos_head"
        head.finished = root / "data/02_intermediate/mos_head_finished"
        head.project = Project.__new__(Project)
        head.project.root = root
        head.project.features = root / FEATURES
        return head

    def folds(self) -> set[str]:
        """Return the names of the finished folds that are kept."""
        return {path.name for path in self.finished.glob("[!.]*.json")}

    def has_new_version(self) -> bool:
        """Return whether a version is written, or is there, beside the first one."""
        return len(list((self.models / "versions").iterdir())) > 1

    def files(self) -> dict[str, bytes]:
        return dict(read_current(self.models).files)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Head:
    head = Head(tmp_path_factory.mktemp("head"))
    head.output = head.run()
    return head


def test_verdict_is_one_file_with_every_number_and_it_is_printed(head):
    files = head.files()
    assert set(files) == {"mos_head.onnx", "mos_head.json", "MODEL_CARD.md", "MOS_HOLD.json"}
    verdict = json.loads(files["MOS_HOLD.json"])
    assert verdict["verdict"] == "HOLD"
    names = ["plcc", "srocc", "rmse", "spread", "clips", "plcc ceiling", "srocc ceiling"]
    assert [c["name"] for c in verdict["checks"]] == names
    assert 0.3 < verdict["ceiling"]["plcc"] < 0.95
    assert verdict["metadata_only"]["ridge"]["rmse"] > 0.3 and verdict["vmaf_only"]["rmse"] > 0.3
    assert set(verdict["cross_validation"]) == {"ridge", "trees"}
    together = verdict["scores"]["ensemble"]
    assert together["intervals"]["plcc"][0] < together["plcc"]
    for words in ("MOS_HOLD: judged on the held-out part", "(a) label ceiling", "K150K-B labels"):
        assert words in head.output


def test_sidecar_describes_the_file_and_holds_nothing_per_clip(head):
    files = head.files()
    facts = json.loads(files["mos_head.json"])
    assert facts["onnx"]["sha256"] == hashlib.sha256(files["mos_head.onnx"]).hexdigest()
    assert facts["onnx"]["largest_difference_from_the_model"] <= 1e-5
    assert [i["name"] for i in facts["inputs"]] == list(OnnxHead(files["mos_head.onnx"]).columns)
    assert facts["encoder_vocabulary"]["version"] == 4
    assert facts["data"]["dropped_columns"]["ciede2000_mean"] == "empty"
    assert facts["data"]["dropped_columns"]["encoder_ugc-mixed"] == "constant"
    assert facts["seeds"] == [0, 1] and facts["versions"]["scikit-learn"]
    names = pd.read_parquet(head.project.features)["clip_name"]
    for content in files.values():
        assert not any(name.encode() in content for name in names)


def test_report_page_and_its_figures_have_the_numbers_of_the_files(head):
    reporting = head.root / "data/08_reporting"
    page = ReadPage((reporting / "mos_head_report.html").read_text())
    report = json.loads((reporting / "mos_head_report.json").read_text())
    assert page.data["facts"]["report"] == {k: report[k] for k in ("data", "metrics")}
    assert next(iter(report["metrics"]["importance"])) == "motion_mean"
    assert set(page.data["figures"]) == set(FIGURES)
    for name in FIGURES:
        saved = json.loads((reporting / f"mos_head_report_figures/{name}.json").read_text())
        assert saved["data"] == page.data["figures"][name]["data"]
    judged = pd.read_parquet(head.root / "data/07_model_output/mos_head_predictions.parquet")
    points = page.data["figures"]["predicted_true"]["data"][0]
    np.testing.assert_allclose(points["x"], judged["predicted"], rtol=1e-6)
    assert points["text"] == judged["clip_name"].tolist()
    assert "cannot be drawn" not in page.text


@pytest.mark.thorough
def test_same_seed_same_bytes(head, monkeypatch):
    """Whatever the number of threads and processes, and the seed of Python's hashes."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    before, version = head.files(), (head.models / "current").readlink()
    pictures = sorted((head.root / "data/08_reporting/mos_head_report_figures").glob("*.json"))
    drawn = [picture.read_bytes() for picture in pictures]
    shutil.rmtree(head.models)
    shutil.rmtree(head.finished)
    assert "is kept" not in head.run(default_runner=True)
    assert head.files() == before and (head.models / "current").readlink() == version
    assert len(pictures) == len(FIGURES)
    assert [picture.read_bytes() for picture in pictures] == drawn


def test_predictions_of_a_parquet_are_those_of_the_model(head, tmp_path):
    source, corpus = head.project.features, head.root / "data/02_intermediate/konvid_150k.jsonl"
    refused = head.project.kedro(
        "run", "--pipelines=predict", f"--params=predict.source={source}", ok=False
    )
    assert "lacks columns that the model needs: framerate" in refused
    assert "Traceback" not in refused
    head.project.kedro(
        "run",
        "--pipelines=predict",
        f"--params=predict.source={source},predict.corpus_jsonl={corpus}",
    )
    found = pd.read_csv(head.root / "data/07_model_output/predicted_mos.csv")
    judged = pd.read_parquet(head.root / "data/07_model_output/mos_head_predictions.parquet")
    both = judged.merge(found, on="clip_name", validate="1:1")
    assert len(found) == CLIPS and len(both) == len(judged) >= 15
    assert np.abs(both["predicted"] - both["predicted_mos"]).max() <= 1e-5


def test_protocol_prints_every_split_and_the_medians(head):
    output = head.project.kedro("run", "--pipelines=protocol", default_runner=True)
    splits = pd.read_csv(head.root / "data/08_reporting/protocol_splits.csv")
    assert splits["split"].tolist() == [1, 2, 3] and splits["seed"].tolist() == [9, 18, 27]
    median = splits["test_plcc"].median()
    assert all(output.count(f"split {n}, seed {s}: C ") == 1 for n, s in ((1, 9), (2, 18), (3, 27)))
    assert "median over 3 splits: SROCC" in output and f"PLCC {median:.4f}" in output
    summary = json.loads((head.root / "data/08_reporting/protocol_summary.json").read_text())
    assert summary["measures"]["test_plcc"]["median"] == pytest.approx(median, abs=1e-12)
    assert summary["protocol"]["grid"]["epsilon"] == 0.1


def test_protocol_of_several_tables_in_one_run(head, tmp_path):
    frame = pd.read_parquet(head.project.features).drop(columns=["width", "height"])
    frame.head(60).to_csv(tmp_path / "one.csv", index=False)
    frame.tail(80).to_parquet(tmp_path / "2.parquet")
    tables = f"--params=protocol.tables={tmp_path / 'one.csv'}+{tmp_path / '2.parquet'}"
    output = head.project.kedro("run", "--pipelines=protocol", tables)
    splits = pd.read_csv(head.root / "data/08_reporting/protocol_splits.csv")
    assert splits["table"].tolist() == ["one"] * 3 + ["2"] * 3
    assert splits["split"].tolist() == [1, 2, 3] * 2
    for row in splits.to_dict("records"):
        assert output.count(f"{row['table']}, split {row['split']}, seed {row['seed']}: C ") == 1
    summary = json.loads((head.root / "data/08_reporting/protocol_summary.json").read_text())
    assert list(summary["tables"]) == ["one", "2"] and "measures" not in summary
    for name, rows in splits.groupby("table"):
        median = rows["test_plcc"].median()
        assert summary["tables"][name]["test_plcc"]["median"] == pytest.approx(median, abs=1e-12)
        assert f"{name}: median over 3 splits: SROCC" in output and f"PLCC {median:.4f}" in output
    missing = f"--params=protocol.tables={tmp_path / 'one.csv'}+{tmp_path / 'no.csv'}"
    refused = head.project.kedro("run", "--pipelines=protocol", missing, ok=False)
    assert "no.csv does not exist" in refused and "Traceback" not in refused
    assert "split 1" not in refused


def test_judge_takes_the_place_of_the_held_out_part(head, tmp_path):
    head = head.copy(tmp_path / "project")
    judge = made_up(150, seed=2, votes=89)
    own = pd.read_parquet(head.project.features)
    judge.loc[0, "clip_name"] = own.loc[0, "clip_name"]
    judge.to_parquet(tmp_path / "judge.parquet")
    output = head.run(f"--params=mos_head.judge_features={tmp_path / 'judge.parquet'}")
    assert "The judge's clips have no framerate, src_size_bytes, bitrate_kbps" in output
    assert "judged on the judge's clips" in output and "no predictor can pass" not in output
    (verdict,) = [json.loads(c) for n, c in head.files().items() if n.startswith("MOS_")]
    assert verdict["scores"]["clips"] == 150 and verdict["ceiling"]["plcc"] > 0.9
    parts = verdict["data"]["parts"]
    assert parts["judge"] == 150 and parts["set aside"] == 1, "the shared clip is not trained on"


def test_promotion_takes_the_place_of_the_hold(head, tmp_path):
    head = head.copy(tmp_path / "project")
    assert "MOS_HOLD.json" in head.files()
    gate = "  gate: {plcc: 0, srocc: 0, rmse: 2, spread: 1, min_clips: 3}\n"
    text = SMALL.replace("protocol:", f"{gate}protocol:")
    (head.root / "conf/local/parameters.yml").write_text(text)
    assert "MOS_PROMOTE" in head.run()
    verdicts = [p.name for p in (head.models / "current").iterdir() if p.name.startswith("MOS_")]
    assert verdicts == ["MOS_PROMOTE.json"]


@pytest.mark.thorough
def test_killed_at_any_step_the_set_is_old_or_new(head, tmp_path):
    head = head.copy(tmp_path / "project")
    old = head.files()
    head.write(made_up(CLIPS, seed=5, votes=5))
    for step in ("Training table:", "trees: PLCC", "MOS_HOLD: judged", "a version is written"):
        run = Victim.fork(["run", "--pipelines=mos_head"], head.root)
        if step == "a version is written":
            run.reaches(head.has_new_version)
        else:
            assert run.reaches(lambda run=run, step=step: step in run.output())
        run.kill()
        assert run.survivors() == []
        files = head.files()
        if files != old:  # then nothing of the old set is left
            assert all(files[name] != content for name, content in old.items())
        assert sum(name.startswith("MOS_") for name in files) == 1
    head.run()
    assert head.files() != old


def test_finished_folds_are_not_fitted_again_and_the_set_is_the_same(head, tmp_path):
    before = head.files()
    head = head.copy(tmp_path / "project")
    shutil.rmtree(head.finished)
    shutil.rmtree(head.models)
    run = Victim.fork(["run", "--pipelines=mos_head"], head.root)
    assert run.reaches(lambda: len(head.folds()) >= 2)
    os.killpg(run.pid, signal.SIGINT)
    run.process.wait(HANG_GUARD_S)
    kept = head.folds()
    printed = re.search(r"^(\d+) folds of this run are kept: the same command", run.output(), re.M)
    assert printed and int(printed[1]) == len(kept)
    assert run.survivors() == [] and len(kept) >= 2
    output = head.run()
    for name in kept:
        fold = name.rpartition("-")[0].replace("-", " ")
        assert f"{fold} is kept from an earlier run and not fitted again" in " ".join(
            output.split()
        )
    assert output.count("not fitted again") == len(kept)
    assert head.files() == before and len(head.folds()) == 4


def test_damaged_and_foreign_files_among_the_finished_folds(head, tmp_path):
    head = head.copy(tmp_path / "project")
    before, foreign = head.files(), head.finished / "notes.txt"
    foreign.write_text("mine")
    first, *_ = sorted(head.folds())
    (head.finished / first).write_bytes(b"\0" * 100)
    output = head.run()
    assert first in "".join(output.split()) and "is computed again" in " ".join(output.split())
    assert output.count("not fitted again") == 3 and "Traceback" not in output
    assert head.files() == before and foreign.read_text() == "mine"


@pytest.mark.thorough
def test_the_bar_counts_fits(head, tmp_path):
    head = head.copy(tmp_path / "project")
    shutil.rmtree(head.finished)
    run = TerminalRun([*KEDRO, "run", "--pipelines=mos_head"], head.root, columns=120)
    assert run.end() == 0
    (bar,) = [line for line in run.screen() if line.lstrip().startswith("mos_head ")]
    assert "10/10" in bar, "two kinds, two folds, two seeds, and the exported model"
    assert "seed" in bar


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("mos_head.judge_features=/nowhere.parquet", "mos_head.judge_features: /nowhere.parquet"),
        ("features=/nowhere.parquet", "/nowhere.parquet does not exist"),
    ],
)
def test_bad_input_is_one_clear_error(head, params, message):
    output = head.run(f"--params={params}", ok=False)
    assert message in output and "Traceback" not in output


def test_predict_without_a_model_set(head):
    output = head.project.kedro(
        "run", "--pipelines=predict", "--params=predict.source=x,model_set=/nowhere", ok=False
    )
    assert "there is no model set in" in output and "Traceback" not in output


def test_sample_runs_through_and_holds(tmp_path):
    project = Project(copy_project(tmp_path))
    run = ("run", "--env=sample", "--pipelines=mos_head", SAMPLE)
    output = project.kedro(*run, default_runner=True)
    assert "MOS_HOLD" in output and "too few to judge any model by" in output
    current = tmp_path / "data/sample/06_models/mos_head/current"
    assert (current / "MOS_HOLD.json").exists() and not (current / "MOS_PROMOTE.json").exists()
    assert "votes CSV" in json.loads((current / "MOS_HOLD.json").read_text())["ceiling"]["source"]
    clip = sorted((tmp_path / "data/sample/01_raw/konvid-150k/k150ka_extracted").iterdir())[0]
    output = project.kedro(
        *("run", "--env=sample", "--pipelines=predict", f"--params=predict.source={clip}"),
        default_runner=True,
    )
    found = pd.read_csv(tmp_path / "data/sample/07_model_output/predicted_mos.csv")
    assert found["clip_name"].tolist() == [clip.name] and 1 <= found["predicted_mos"][0] <= 5
    assert clip.name in output and "another engine" not in output
