"""Features of one corpus from the journals of several."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from k150k_pipeline.datasets import AtomicParquetDataset
from k150k_pipeline.errors import LostRowsError
from k150k_pipeline.journal import Failure, Journal
from k150k_pipeline.journal.worker import Tally
from k150k_pipeline.pipelines.feature_extraction.nodes import merge_extraction
from k150k_pipeline.pipelines.feature_extraction.plan import ExtractionPlan
from k150k_pipeline.pipelines.feature_extraction.planning import clip_parts
from k150k_pipeline.pipelines.feature_extraction.takeover import take_over
from k150k_pipeline.schemas.features import VALUE_COLUMNS
from k150k_pipeline.schemas.parameters import ExtractParameters

SCORING = {"engine": "made up"}
TALLY = Tally(ok=0, failed=0, syncs=0, sync_seconds=0.0)


@pytest.fixture
def journals(tmp_path):
    """Return the journal of a part with one clip, and that of the whole, without any."""
    part = Journal(tmp_path / "part", tmp_path / "part.parquet")
    score(part, "a.mp4")
    return part, Journal(tmp_path / "whole", tmp_path / "whole.parquet", [part.folder])


def score(journal: Journal, clip: str) -> None:
    payload = {"width": 8, "height": 8, "frames": 1, "values": [0.5] * len(VALUE_COLUMNS)}
    with journal.writer(0, "f", SCORING) as writer:
        writer.ok(clip, 1, 0.0, payload)


def merge(journal: Journal, done_before: int, tally: Tally = TALLY):
    plan = ExtractionPlan(
        corpus="konvid_150k", fingerprint="f", accepted=[], scoring=SCORING,
        wanted=2, due=0, done_before=done_before,
        recovered=0, clips_without_label=[], labels_without_clip=[], bad_labels=[],
        changed_clips=[], unknown_files=0, superseded={},
        torn_lines=0, broken_lines=[], started_at=0.0,
    )  # fmt: skip
    wanted = clip_parts(["a.mp4", "b.mp4"], {"a.mp4": 3.0, "b.mp4": 3.0})
    return merge_extraction(plan, wanted, journal, ExtractParameters(), tally)


def test_what_another_run_finishes_meanwhile_is_no_lost_row(journals):
    part, whole = journals
    score(part, "b.mp4")
    table, _, report, *_ = merge(whole, done_before=1)
    assert table["clip_name"].to_pylist() == ["a.mp4", "b.mp4"]
    assert report["counts"]["not_yet_tried"] == 0
    with pytest.raises(LostRowsError):
        merge(whole, done_before=3)
    with pytest.raises(LostRowsError):
        merge(part, done_before=1)


def test_a_row_of_a_process_that_was_taken_for_dead_is_no_failure(journals):
    part, _ = journals
    with part.writer(0, "f", SCORING) as successor:
        successor.failed("b.mp4", 1, 0.0, Failure("score", "timeout", ""))
    score(part, "b.mp4")
    as_its_successor_saw_it = TALLY.model_copy(update={"failed": 1})
    _, failures, report, *_ = merge(part, done_before=1, tally=as_its_successor_saw_it)
    assert failures.empty
    assert report["counts"]["newly_finished"] == 1


def test_a_lost_journal_is_made_again_from_the_features(journals):
    _, whole = journals
    score(whole, "b.mp4")
    table, *_ = merge(whole, done_before=2)
    AtomicParquetDataset(filepath=str(whole.output)).save(table)
    for path in whole.own_files():
        path.unlink()
    assert take_over(whole, ExtractParameters()).rows == 1
    assert [entry.clip for entry in whole.entries()] == ["a.mp4", "b.mp4"]
    assert take_over(whole, ExtractParameters()).rows == 0
    assert pq.read_table(whole.output).num_rows == 2
