"""``--env=sample``: a drop made from nothing, and its features."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path

import pandas as pd
import pytest

from k150k_pipeline.media.probe import probe
from k150k_pipeline.pipelines.sample.nodes import LABEL_WITHOUT_CLIP, RECIPES, clip_name
from k150k_pipeline.schemas.feature_notes import FEATURE_NOTES
from k150k_pipeline.schemas.features import FEATURES
from tests.conftest import Project, copy_project

pytestmark = pytest.mark.xdist_group("sample")  # the two runs are made once

SHORT = "--params=sample.seconds=0.4,extract.verify_clips=1"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return two projects that ran the sample, one in a single process and one in several."""
    roots = []
    for name, several in (("first", False), ("second", True)):
        root = tmp_path_factory.mktemp(name)
        project = Project(copy_project(root))
        run = ("run", "--env=sample", "--pipeline=extract", SHORT)
        project.kedro(*run, default_runner=several)
        roots.append(root / "data/sample")
    return roots


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


def test_the_card_beside_the_table_describes_it(runs):
    card = (runs[0] / "04_feature/full_features_k150k.data_card.md").read_text("utf-8")
    table = pd.read_parquet(runs[0] / "04_feature/full_features_k150k.parquet")
    assert f"{len(table)} clips and 48 columns" in card
    assert "Of 13 clips with a label, 1 failed and have no row" in card
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
