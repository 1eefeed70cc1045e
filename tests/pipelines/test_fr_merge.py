"""The account of an FR run, from a journal alone."""

from __future__ import annotations

from k150k_pipeline.journal import Failure, Journal
from k150k_pipeline.journal.worker import Tally
from k150k_pipeline.pipelines.fr_from_nr.nodes import merge_fr
from k150k_pipeline.pipelines.fr_from_nr.plan import FrClip, FrPlan
from k150k_pipeline.schemas.fr_parameters import FrParameters


def test_a_clip_that_failed_before_it_was_finished_is_no_failure(tmp_path):
    journal, scoring = Journal(tmp_path / "journal", tmp_path / "fr.jsonl"), {"crf_sweep": "20 30"}
    with journal.writer(0, "f", scoring) as writer:
        writer.failed("a.mp4", 1, 0.0, Failure("encode", "timeout", ""))
        writer.ok("a.mp4", 2, 0.0, {})
        writer.failed("b.mp4", 1, 0.0, Failure("encode", "timeout", ""))
    clip = FrClip(mos=3.0, sha256="")
    plan = FrPlan(
        corpus="konvid_150k", run_id="r", fingerprint="f", accepted=[], scoring=scoring,
        clips={"a.mp4": clip, "b.mp4": clip}, due=[], attempts={}, done_before=0,
        clips_without_label=[], labels_without_clip=[], torn_lines=0, broken_lines=[],
        started_at=0.0,
    )  # fmt: skip
    tally = Tally(ok=1, failed=2, syncs=3, sync_seconds=0.0)
    _, _, failures, report, *_ = merge_fr(plan, journal, FrParameters(), tally)
    assert failures["clip_name"].tolist() == ["b.mp4"]
    assert (report["counts"]["failed"], report["counts"]["not_yet_tried"]) == (1, 0)
