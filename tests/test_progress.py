"""What a run says while it goes on and when it ends."""

from __future__ import annotations

import io
import logging
import time

import pytest

from k150k_pipeline import progress
from k150k_pipeline.journal import Failure, Journal
from k150k_pipeline.journal.watch import JournalTail
from k150k_pipeline.pipelines.clipwise import summarise
from k150k_pipeline.progress import ProgressReporter, eta


@pytest.mark.parametrize(
    ("remaining", "rate", "text"),
    [(10, 0, "?"), (0, 1, "0:00:00"), (90, 1, "0:01:30"), (152_265, 0.6, "70:29:35")],
)
def test_eta(remaining, rate, text):
    assert eta(remaining, rate) == text


def write(journal: Journal, ok: int, failed: int) -> None:
    with journal.writer(0, "f", {}) as writer:
        for index in range(ok):
            writer.ok(f"c{index}", 1, 0.1, {})
        for index in range(failed):
            writer.failed(f"x{index}", 1, 0.1, Failure("decode", "corrupt", ""))


def test_tail_counts_what_is_new_and_waits_for_whole_lines(tmp_path):
    journal = Journal(tmp_path, tmp_path / "o")
    write(journal, 3, 1)
    tail = JournalTail(Journal(tmp_path, tmp_path / "o"), skip_existing=True)
    everything = JournalTail(Journal(tmp_path, tmp_path / "o"))
    write(journal, 2, 1)
    newest = max(tmp_path.glob("shard-*"), key=lambda p: p.stat().st_mtime_ns)
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-10])
    assert (tail.poll().ok, tail.poll().failed) == (2, 0)
    newest.write_bytes(whole)
    assert (tail.poll().ok, tail.poll().failed) == (2, 1)
    seen = everything.poll()
    assert (len(seen.clips), seen.ok, seen.failed) == (3, 5, 2)
    assert seen.failures == {"x0": ("decode", "corrupt")}
    assert seen.finished_since(0) == 7 and seen.finished_since(time.time() + 1) == 0


def test_lines_every_so_many_clips(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(progress, "_INTERVAL_S", 0.05)
    journal = Journal(tmp_path, tmp_path / "o")
    with caplog.at_level(logging.INFO, logger="k150k_pipeline"):
        reporter = ProgressReporter(journal)
        reporter.start()
        journal.announce({"started_at": time.time(), "due": 10, "flush_every": 3})
        for _ in range(2):
            write(journal, 3, 0)
            time.sleep(0.3)
        write(journal, 3, 1)
        reporter.stop()
    lines = [record.getMessage() for record in caplog.records]
    # The last four may be seen as they are written, or all at once.
    numbers = [line.removesuffix(" of 10 clips") for line in (x.split(":")[0] for x in lines)]
    assert numbers in (["3", "6", "10"], ["3", "6", "9", "10"])
    assert "1 failed, ETA 0:00:00" in lines[-1] and "clips/s" in lines[-1]


def test_bar_on_a_terminal(tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(progress, "_INTERVAL_S", 0.05)
    journal = Journal(tmp_path, tmp_path / "o")
    reporter = ProgressReporter(journal)
    reporter.start()
    journal.announce({"started_at": time.time(), "due": 4, "flush_every": 200})
    time.sleep(0.2)
    write(journal, 3, 1)
    reporter.stop()
    assert "4/4" in terminal.getvalue() and "1 failed" in terminal.getvalue()


def test_a_run_with_nothing_due_says_nothing(tmp_path, caplog):
    journal = Journal(tmp_path, tmp_path / "o")
    reporter = ProgressReporter(journal)
    reporter.start()
    journal.announce({"started_at": time.time(), "due": 0, "flush_every": 1})
    reporter.stop()
    assert caplog.records == []


def test_summary_names_counts_orphans_and_reasons():
    report = {
        "corpus": "k150ka",
        "clips_per_second": 1.25,
        "counts": {
            "rows": 7, "wanted": 10, "newly_finished": 4, "done_before": 3, "failed": 2,
            "not_yet_tried": 1,
        },
        "labels_without_clip": ["a", "b", "c", "d"],
        "clips_without_label": [],
        "bad_labels": [],
        "failures_by_reason": {"corrupt": 2},
    }  # fmt: skip
    text = summarise(report)
    assert "7 of 10 clips have a row (4 new, 3 from before), 2 failed, 1 not yet tried" in text
    assert "4 labels without clip: a, b, c …" in text and "clips without label" not in text
    assert "2 x corrupt" in text
