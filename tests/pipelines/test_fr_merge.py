"""The account of an FR run, from a journal alone."""

from __future__ import annotations

import pytest

from k150k_pipeline.errors import KILLED, LostRowsError
from k150k_pipeline.journal import Failure, Journal
from k150k_pipeline.journal.worker import Tally
from k150k_pipeline.pipelines.fr_from_nr.nodes import merge_fr
from k150k_pipeline.pipelines.fr_from_nr.plan import FrClip, FrPlan
from k150k_pipeline.schemas.fr_parameters import FrParameters

SCORING = {"crf_sweep": "20 30"}
TIMEOUT = Failure("encode", "timeout", "")


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal", tmp_path / "fr.jsonl")


def merge(journal: Journal, tally: Tally, *further: str):
    clip = FrClip(mos=3.0, sha256="")
    plan = FrPlan(
        corpus="konvid_150k", run_id="r", fingerprint="f", accepted=[], scoring=SCORING,
        clips=dict.fromkeys(["a.mp4", "b.mp4", *further], clip), due=[], attempts={}, done_before=0,
        changed_clips=[], clips_without_label=[], labels_without_clip=[], torn_lines=0,
        broken_lines=[], started_at=0.0,
    )  # fmt: skip
    _, _, failures, report, *_ = merge_fr(plan, journal, FrParameters(), tally)
    return failures["clip_name"].tolist(), report["counts"]


def test_a_clip_that_failed_before_it_was_finished_is_no_failure(journal):
    with journal.writer(0, "f", SCORING) as writer:
        writer.failed("a.mp4", 1, 0.0, TIMEOUT)
        writer.ok("a.mp4", 2, 0.0, {})
        writer.failed("b.mp4", 1, 0.0, TIMEOUT)
    failed, counts = merge(journal, Tally(ok=1, failed=2, syncs=3, sync_seconds=0.0))
    assert failed == ["b.mp4"]
    assert (counts["failed"], counts["not_yet_tried"]) == (1, 0)


def test_a_row_of_a_process_that_was_taken_for_dead_counts_and_no_other_is_made_up(journal):
    with (
        journal.writer(0, "f", SCORING) as taken_for_dead,
        journal.writer(0, "f", SCORING) as successor,
    ):
        successor.failed("a.mp4", 1, 0.0, Failure("worker", KILLED, ""))
        successor.failed("b.mp4", 1, 0.0, TIMEOUT)
        taken_for_dead.ok("a.mp4", 1, 0.0, {})
    of_successor = Tally(ok=0, failed=2, killed=1, syncs=2, sync_seconds=0.0)
    failed, counts = merge(journal, of_successor)
    assert failed == ["b.mp4"]
    assert (counts["rows"], counts["newly_finished"], counts["killed"]) == (1, 1, 0)
    with journal.writer(0, "f", SCORING) as writer:
        writer.ok("c.mp4", 1, 0.0, {})
    with pytest.raises(LostRowsError, match="please report this"):
        merge(journal, of_successor, "c.mp4")  # nobody failed on it
    for tally in (
        of_successor.model_copy(update={"ok": 2, "failed": 0}),
        of_successor.model_copy(update={"failed": 0}),
    ):
        with pytest.raises(LostRowsError, match="please report this"):
            merge(journal, tally)
