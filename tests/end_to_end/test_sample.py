"""``--env=sample``: a drop made from nothing, and its features."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from k150k_pipeline.media.probe import probe
from k150k_pipeline.pipelines.sample.hints import NEXT, describe_sample
from k150k_pipeline.pipelines.sample.nodes import LABEL_WITHOUT_CLIP, RECIPES, clip_name
from k150k_pipeline.schemas.feature_notes import FEATURE_NOTES
from k150k_pipeline.schemas.features import FEATURES
from tests.conftest import Project, copy_project

pytestmark = pytest.mark.xdist_group("sample")  # the two runs are made once

SHORT = "--params=sample.seconds=0.4,extract.verify_clips=1"


@dataclass(frozen=True)
class SampleRun:
    """A project that ran the sample, and what the run printed."""

    project: Project
    output: str

    @property
    def data(self) -> Path:
        return self.project.root / "data/sample"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[SampleRun]:
    """Return two projects that ran the sample, one in a single process and one in several."""
    runs = []
    for name, several in (("first", False), ("second", True)):
        project = Project(copy_project(tmp_path_factory.mktemp(name)))
        run = ("run", "--env=sample", "--pipeline=extract", SHORT)
        runs.append(SampleRun(project, project.kedro(*run, default_runner=several)))
    return runs


@pytest.fixture(scope="module")
def runs(made: list[SampleRun]) -> list[Path]:
    """Return the folders of data of these runs."""
    return [run.data for run in made]


def test_one_row_per_good_clip_and_the_corrupt_one_reported(runs):
    table = pd.read_parquet(runs[0] / "04_feature/full_features_k150k.parquet")
    good = [clip_name(i) for i, r in enumerate(RECIPES, start=1) if not r.cut]
    assert len(good) >= 12 and table["clip_name"].tolist() == good
    assert (table["width"] == 960).all() and (table["height"] == 540).all()
    failures = pd.read_csv(runs[0] / "08_reporting/k150ka_failures.csv")
    assert failures["clip_name"].tolist() == [clip_name(len(RECIPES))]
    report = json.loads((runs[0] / "08_reporting/k150ka_report.json").read_text())
    assert report["labels_without_clip"] == [LABEL_WITHOUT_CLIP]


def test_content_differs(runs):
    table = pd.read_parquet(runs[0] / "04_feature/full_features_k150k.parquet")
    by_content = table.set_index([[r.content for r in RECIPES if not r.cut]])
    assert by_content.loc["dark gradient that bands", "cambi_mean"] > 5
    assert by_content.loc["a still", "motion_mean"] < 0.1
    assert by_content.loc["fast motion, good", "motion_mean"] > 5
    assert by_content.loc["10 bit", "psnr_y_mean"] == 72
    assert table["motion2_mean"].nunique() == len(table)


def test_ten_bit_clip_is_ten_bit(runs):
    number = next(i for i, r in enumerate(RECIPES, start=1) if r.content == "10 bit")
    clip = runs[0] / "01_raw/konvid-150k/k150ka_extracted" / clip_name(number)
    assert probe(clip).bit_depth == 10


def test_scores_are_the_means_of_five_votes(runs):
    drop = runs[0] / "01_raw/konvid-150k"
    votes = pd.read_csv(drop / "k150ka_votes.csv").groupby("video_name")["video_score"]
    scores = pd.read_csv(drop / "k150ka_scores.csv").set_index("video_name")["video_score"]
    assert (votes.count() == 5).all()
    pd.testing.assert_series_equal(votes.mean(), scores, check_exact=True)


def test_made_again_it_is_the_same_to_the_last_byte(runs):
    def digests(root: Path) -> dict[str, str]:
        made = (*root.glob("04_feature/*.parquet"), *root.glob("04_feature/*.data_card.md"))
        files = [*root.glob("01_raw/**/*"), *made]
        return {
            str(f.relative_to(root)): hashlib.sha256(f.read_bytes()).hexdigest()
            for f in files
            if f.is_file()
        }

    assert digests(runs[0]) == digests(runs[1])
    assert len(digests(runs[0])) >= 17


def test_the_last_words_name_the_faults_the_report_and_what_to_try(made):
    for run in made:
        words = "".join(run.output.rpartition("The sample has two faults on purpose")[1:])
        assert f"{clip_name(len(RECIPES))} is cut off" in words
        assert f"{LABEL_WITHOUT_CLIP} has a label and no clip" in words
        assert str(run.data / "08_reporting/k150ka_report.html") in words
        assert re.findall(r"^  (?:python -m )?kedro (.+?) +#", words, re.MULTILINE) == [
            c for c, _ in NEXT
        ]


@pytest.mark.parametrize("command", [command for command, _ in NEXT])
def test_what_is_suggested_works(made, command):
    first, *rest = command.split(" --params ")
    short = [",".join([SHORT, *rest])] if first.startswith("run") else []
    made[0].project.kedro(*first.split(), *short)


@pytest.mark.parametrize(
    ("called", "named"),
    [
        (".venv/bin/kedro", ".venv/bin/kedro"),
        ("/a/k150k", "/a/k150k"),
        ("/a/kedro/__main__.py", "python -m kedro"),
        ("/a/k150k_pipeline/__main__.py", "python -m k150k_pipeline"),
        ("/a/pytest/__main__.py", "kedro"),
        ("", "kedro"),
    ],
)
def test_commands_begin_as_the_run_was_called(called, named):
    words = describe_sample(Path("report.json"), [called, "run"])
    assert f"\n  {named} extract-status --env=sample  " in words


def test_nothing_is_called_deliberate_where_no_sample_is_extracted(project, tiny_clips):
    project.add_clips(tiny_clips)
    assert "on purpose" not in project.run(params="extract.limit=1")
    assert "on purpose" not in project.kedro("run", "--env=sample", "--pipelines=sample", SHORT)


def test_the_card_beside_the_table_describes_it(runs):
    card = (runs[0] / "04_feature/full_features_k150k.data_card.md").read_text("utf-8")
    table = pd.read_parquet(runs[0] / "04_feature/full_features_k150k.parquet")
    assert f"{len(table)} clips and 48 columns" in card
    assert "Of 13 clips with a label, 1 failed and has no row" in card
    assert re.search(
        r"^\| `psnr_y_mean` .* \| dB \| 0 to 72 \| 60 to 72 \| 0 \|$", card, re.MULTILINE
    )
    empty = rf"^\| `psnr_hvs_mean` .* \| – \| {len(table)} \|$"
    assert re.search(empty, card, re.MULTILINE)


@pytest.mark.parametrize("feature", FEATURES)
def test_values_are_within_what_the_card_calls_possible(runs, feature):
    table = pd.read_parquet(runs[0] / "04_feature/full_features_k150k.parquet")
    note = FEATURE_NOTES[feature]
    values = table[f"{feature}_mean"].dropna()
    assert len(values) in (0, len(table))
    assert (values >= (-math.inf if note.low is None else note.low)).all()
    assert (values <= (math.inf if note.high is None else note.high) + 1e-5).all()


def test_user_files_named_on_the_command_line_are_never_written(project, tmp_path):
    mine = tmp_path / "mine.csv"
    mine.write_text("video_name,video_score\na.mp4,3\n")
    project.kedro("run", "--env=sample", "--pipelines=sample", f"{SHORT},scores={mine}")
    assert mine.read_text() == "video_name,video_score\na.mp4,3\n"
