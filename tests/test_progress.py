"""What a run says while it goes on and when it ends."""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache

import pytest

from k150k_pipeline import terminal
from k150k_pipeline.hooks import describe_step
from k150k_pipeline.journal import Failure, Journal
from k150k_pipeline.journal.watch import JournalTail
from k150k_pipeline.mos.finished import Finished
from k150k_pipeline.mos.steps import StepsTail
from k150k_pipeline.pipelines.clipwise import summarise
from k150k_pipeline.progress import ProgressReporter, eta, eta_at
from tests.support.screen import TerminalRun
from tests.support.waiting import HANG_GUARD_S


@pytest.mark.parametrize(
    ("remaining", "rate", "text"),
    [(10, 0, "?"), (0, 1, "0:00:00"), (90, 1, "0:01:30"), (152_265, 0.6, "70:29:35")],
)
def test_eta(remaining, rate, text):
    assert eta(remaining, rate) == text


@pytest.mark.parametrize(
    ("remaining", "rate", "text"),
    [
        (10, 0, "?"),
        (0, 1, "0:00:00"),
        (90, 1, "0:01:30 (12:01)"),
        (12 * 3600, 1, "12:00:00 (2026-03-02 00:00)"),
        (10**12, 1, "?"),
        (1, float("nan"), "?"),
        (float("inf"), 1, "?"),
    ],
)
def test_eta_has_the_time_of_day_and_the_date_of_another_day(remaining, rate, text):
    noon = datetime(2026, 3, 1, 12).timestamp()
    assert eta_at(remaining, rate, noon) == text


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
    before = set(tmp_path.glob("shard-*"))
    write(journal, 2, 1)
    (newest,) = set(tmp_path.glob("shard-*")) - before
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-10])
    assert (tail.poll().ok, tail.poll().failed) == (2, 0)
    newest.write_bytes(whole)
    assert (tail.poll().ok, tail.poll().failed) == (2, 1)
    seen = everything.poll()
    assert (len(seen.clips), seen.ok, seen.failed) == (3, 5, 2)
    assert seen.failures == {"x0": ("decode", "corrupt")}
    assert seen.finished_since(0) == 7 and seen.finished_since(time.time() + 1) == 0


class Lines(logging.Handler):
    """The lines of the log, which a test can wait for."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._queue: queue.Queue[str] = queue.Queue()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._queue.put(record.getMessage())

    def next(self) -> str:
        self.seen.append(self._queue.get(timeout=HANG_GUARD_S))
        return self.seen[-1]

    def rest(self) -> list[str]:
        return [self._queue.get() for _ in range(self._queue.qsize())]


@pytest.fixture
def lines():
    handler, log = Lines(), logging.getLogger("k150k_pipeline")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    log.removeHandler(handler)
    log.setLevel(level)


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path, tmp_path / "o")


def announce(journal: Journal, due: int, flush_every: int = 3) -> None:
    run = {"started_at": time.time(), "wanted": due, "due": due, "flush_every": flush_every}
    journal.announce(run)


def test_a_line_every_so_many_clips_and_one_at_the_end(journal, lines):
    reporter = ProgressReporter({"k150ka": journal}, poll_s=0.01, line_every_s=3600)
    reporter.start()
    announce(journal, 10)
    for expected in ("3 of 10", "6 of 10"):
        write(journal, 3, 0)
        assert lines.next().startswith(f"k150ka: {expected} clips: ")
    write(journal, 2, 0)
    assert reporter.stop()["clips"] == 8
    (last,) = lines.rest()
    assert last.startswith("k150ka: 8 of 10 clips: ") and "0 failed, ETA" in last


def test_the_last_clip_is_a_line_at_once(journal, lines):
    reporter = ProgressReporter({"k150ka": journal}, poll_s=0.01, line_every_s=3600)
    reporter.start()
    announce(journal, 2, flush_every=200)
    write(journal, 1, 1)
    while "2 of 2 clips" not in lines.next():
        continue
    assert "1 failed, ETA 0:00:00" in lines.seen[-1]
    assert reporter.stop()["clips"] == 1 and lines.rest() == []


def test_a_failure_that_repeats_is_said_once_with_a_count(journal, lines):
    reporter = ProgressReporter({"k150ka": journal}, poll_s=0.01, line_every_s=3600)
    reporter.start()
    announce(journal, 2000, flush_every=10**6)
    with journal.writer(0, "f", {}) as writer:
        writer.failed("[red]first\n\x1b[31m", 1, 0.1, Failure("decode", "corrupt", ""))
        said = lines.next()
        for number in range(998):
            writer.failed(f"x{number}", 1, 0.1, Failure("decode", "corrupt", ""))
        writer.failed("other", 1, 0.1, Failure("probe", "timeout", ""))
    assert said.startswith("k150ka: [red]first") and said.endswith(" failed: decode: corrupt")
    assert said.isprintable() and lines.next() == "k150ka: other failed: probe: timeout"
    reporter.stop()
    (last,) = lines.rest()
    assert last.endswith("; failed: 999 x decode: corrupt, 1 x probe: timeout")


def test_off_a_terminal_there_are_lines_though_no_clip_finishes(journal, lines):
    reporter = ProgressReporter({"k150ka": journal}, poll_s=0.01, line_every_s=0.02)
    reporter.start()
    assert lines.next().startswith("still planning, 0:00:0")
    announce(journal, 2)
    while not lines.next().startswith("k150ka: 0 of 2 clips: 0.00 clips/s, 0 failed, ETA ?"):
        assert lines.seen[-1].startswith("still planning")
    assert lines.next() == lines.seen[-2]
    write(journal, 2, 0)
    while not lines.next().startswith("still writing"):
        assert lines.seen[-1].startswith("k150ka: ")
    reporter.stop()


def test_a_run_without_journals_says_that_it_works(lines):
    reporter = ProgressReporter({}, poll_s=0.01, line_every_s=0.02)
    reporter.start()
    assert lines.next().startswith("still working")
    assert reporter.stop()["clips"] == 0


def test_a_run_with_nothing_due_says_nothing(journal, lines):
    reporter = ProgressReporter({"k150ka": journal})
    reporter.start()
    announce(journal, 0)
    assert reporter.stop()["clips"] == 0 and lines.rest() == []


def test_what_an_earlier_run_announced_and_finished_does_not_count(journal, lines):
    announce(journal, 5)
    write(journal, 5, 0)
    reporter = ProgressReporter({"k150ka": journal}, poll_s=0.01)
    reporter.start()
    assert reporter.stop()["clips"] == 0 and lines.rest() == []


def test_fits_are_counted_over_the_processes_of_a_run(tmp_path, lines):
    finished = Finished(tmp_path)
    finished.count({"due": 7, "unit": "fits", "even": False})
    finished.count({"done": 7, "note": "of an earlier run"})
    reporter = ProgressReporter({}, {"mos_head": finished}, poll_s=0.01, line_every_s=0.02)
    reporter.start()
    assert lines.next().startswith("still planning")
    Finished(tmp_path).count({"due": 6, "unit": "fits", "even": False})
    Finished(tmp_path).count({"skipped": 2})
    Finished(tmp_path).count({"done": 1, "note": "mlp, fold 1, seed 0"})
    while "mos_head: 3 of 6 fits: 2 kept from before, mlp, fold 1, seed 0" not in lines.next():
        continue
    Finished(tmp_path).keep("mlp fold 2", {}, [], "folds")
    Finished(tmp_path).count({"done": 3, "note": "mlp, fold 2, seed 2"})
    while "6 of 6 fits" not in lines.next():
        continue
    assert reporter.stop() == {"folds": 1}


def test_steps_of_equal_length_have_an_eta(tmp_path, lines):
    finished = Finished(tmp_path)
    reporter = ProgressReporter({}, {"protocol": finished}, poll_s=0.01, line_every_s=0.02)
    reporter.start()
    for _ in range(3):  # each shard announces all splits
        finished.count({"due": 4, "unit": "splits", "even": True})
    for number in range(3):
        finished.keep(f"split {number}", {}, [], "splits")
    finished.count({"done": 3, "note": "split 2"})
    while not lines.next().startswith("protocol: 3 of 4 splits: ETA 0:00:0"):
        continue
    assert reporter.stop() == {"splits": 3}


@pytest.mark.parametrize("line", [b"\n", b"3\n", b"{\n", b"\xff\n", b"[]\n", b'{"due": 9'])
def test_lines_that_are_no_steps_are_passed_over(tmp_path, line):
    finished = Finished(tmp_path)
    tail = StepsTail(finished)
    finished.steps.write_bytes(line)
    finished.count({"done": 1})
    assert tail.poll().due == 0 and tail.seen.done == (1 if line.endswith(b"\n") else 0)
    finished.steps.write_bytes(b"")
    finished.count({"due": 5})
    finished.steps.unlink()
    assert tail.poll() is tail.seen


@pytest.mark.parametrize(
    "step",
    [
        '{"part": "folds"}',
        '{"part": "folds", "file": 3}',
        '{"part": [], "file": "x"}',
        '{"part": "folds", "file": "a.json"}',
        '{"part": "folds", "file": "a\u0000"}',
        '{"part": "folds", "file": "' + "a" * 5000 + '"}',
    ],
)
def test_a_step_of_a_file_that_is_not_there_keeps_nothing(tmp_path, step):
    finished = Finished(tmp_path)
    tail = StepsTail(finished)
    finished.steps.write_text(step + "\n")
    tail.poll()
    assert tail.kept() == {}


def test_the_file_of_steps_does_not_grow_for_ever(tmp_path):
    finished = Finished(tmp_path)
    finished.steps.write_bytes(b'{"done": 1}\n' * 100_000)
    tail = StepsTail(finished)
    finished.count({"due": 5})
    assert finished.steps.stat().st_size < 100 and tail.poll().due == 5


CROWD = """
import logging, os, sys, threading, time
from pathlib import Path
from k150k_pipeline.journal import Journal
from k150k_pipeline.progress import ProgressReporter
from k150k_pipeline.terminal import worker_output

def log(thread):
    for i in range(60):
        logging.info("thread %d line %d", thread, i)

def work(output):
    for i in range(60):
        os.write(output.fileno(), f"worker line {i}\\n".encode())

logging.basicConfig(level=logging.INFO, format="%(message)s")
journal = Journal(Path("journal"), Path("o"))
reporter = ProgressReporter({"clips": journal}, poll_s=0.002)
reporter.start()
with worker_output() as output:
    threads = [threading.Thread(target=log, args=(k,)) for k in range(3)]
    threads.append(threading.Thread(target=work, args=(output,)))
    for thread in threads:
        thread.start()
    journal.announce({"started_at": time.time(), "wanted": 40, "due": 40, "flush_every": 3})
    with journal.writer(0, "f", {}) as writer:
        for i in range(40):
            writer.ok(f"c{i}", 1, 0.1, {})
    for thread in threads:
        thread.join()
reporter.stop()
print("after the bar")
"""


def test_threads_that_ask_at_the_same_time_get_one_console(monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def slow(**_: object) -> object:
        begun.set()
        go_on.wait(HANG_GUARD_S)
        return object()

    monkeypatch.setattr(terminal, "_LockedConsole", slow)
    monkeypatch.setattr(terminal, "_only_console", cache(terminal._only_console.__wrapped__))
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(terminal.console)
        assert begun.wait(HANG_GUARD_S)
        begun.clear()
        second = threads.submit(terminal.console)
        assert not begun.wait(0.2)  # nobody makes a second one while the first is being made
        go_on.set()
        assert first.result() is second.result()


@pytest.mark.parametrize("columns", [60, 120])
def test_no_line_of_the_log_or_of_a_worker_is_glued_to_the_bar(tmp_path, columns):
    run = TerminalRun([sys.executable, "-c", CROWD], tmp_path, columns)
    assert run.end() == 0
    screen = [line for line in run.screen() if line]
    expected = {f"thread {k} line {i}" for k in range(3) for i in range(60)}
    expected |= {f"worker line {i}" for i in range(60)} | {"after the bar"}
    assert len(screen) == len(expected) + 1
    (bar,) = set(screen) - expected
    assert "clips" in bar and "40/40" in bar and len(bar) <= columns
    assert run.written.count(b"\x1b[?25l") == run.written.count(b"\x1b[?25h") == 1


@pytest.mark.parametrize(
    ("node", "line"),
    [
        ("extract.plan", "extract: planning"),
        ("extract.verify", "extract: verifying that both plans agree"),
        ("ingest.merge", "ingest: writing"),
        ("extract.score.shard_0000", None),
        ("extract.score.add_up", None),
        ("mos_head.cross_validate_ridge", "mos_head: cross validate ridge"),
        ("complete_drop", "complete drop"),
    ],
)
def test_steps_are_named(node, line):
    assert describe_step(node) == line


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
    assert "4 labels without clip: a; b; c …" in text and "clips without label" not in text
    assert "2 x corrupt" in text
