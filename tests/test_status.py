"""What ``extract-status`` and its like report."""

from __future__ import annotations

import os
import subprocess
import time

import click
import pytest
from click.testing import CliRunner

from k150k_pipeline.datasets import JournalDataset
from k150k_pipeline.errors import ClipError
from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.lock import RunLock, held
from k150k_pipeline.journal.worker import ShardJournal
from k150k_pipeline.status import KINDS, Runs, _entries, status_command
from tests.conftest import KEDRO
from tests.support.older_script import hashes
from tests.support.screen import TerminalRun

HOSTILE = "[bold]x[/bold]\nfailed: \x1b[31m\u202e.mp4"


@pytest.fixture
def datasets(tmp_path):
    return [
        JournalDataset(
            path=str(tmp_path / f"{name}_journal"), output={"filepath": f"/{name}.parquet"}
        )
        for name in ("a", "b", "c")
    ]


def announce(dataset: JournalDataset, started_at: float, wanted: int) -> Journal:
    run = {"started_at": started_at, "wanted": wanted, "due": wanted, "flush_every": 1}
    dataset.journal.announce(run)
    return dataset.journal


def test_every_announced_run_is_reported_the_latest_first(datasets):
    announce(datasets[0], 100.0, 7)
    with announce(datasets[2], 200.0, 9).writer(0, "f", {}) as writer:
        writer.ok("x.mp4", 1, 0.1, {})
    reported = Runs(datasets).describe()
    assert reported.index("/c.parquet") < reported.index("/a.parquet")
    assert "wanted 9, done 1, failed attempts 0, due 8" in reported
    assert "wanted 7, done 0" in reported and "/b.parquet" not in reported


def test_without_a_run_every_folder_is_named(datasets, tmp_path):
    folders = " or ".join(str(tmp_path / f"{name}_journal") for name in ("a", "b", "c"))
    assert Runs(datasets).describe() == f"No run has begun in {folders}"


@pytest.fixture
def running(datasets):
    """Return a dataset whose lock is held, and the start of its run."""
    started_at = time.time() - 1000
    announce(datasets[0], started_at, 10)
    with held(RunLock(datasets[0].lock_path)):
        yield datasets[0], started_at


def shard(running, number: int, name: str | None = None) -> ShardJournal:
    dataset, started_at = running
    return ShardJournal(dataset.journal, number, "f", {}, name or str(started_at))


def test_clips_in_work_are_named_with_their_time(running):
    journals = [shard(running, number) for number in range(3)]
    for number, journal in enumerate(journals):
        journal.begin(f"done{number}.mp4")
        journal.ok(f"done{number}.mp4", 1, 0.1, {})
    journals[1].begin("long.mp4")
    journals[2].begin("n" * 200)
    shard(running, 3, "an earlier run").begin("stale.mp4")
    marks = running[0].journal.run_folder
    then = time.time() - 3700
    os.utime(marks / "started_0001.json", (then, then))
    text = Runs([running[0]]).describe()
    (long,) = [line for line in text.splitlines() if "long.mp4" in line]
    assert long.startswith("  1:01:4") and text.index("long.mp4") < text.index("n" * 200)
    assert "stale" not in text and "done" not in text.replace("done 3", "")
    journals[1].failed("long.mp4", 1, 0.1, ClipError("decode", "corrupt", ""))
    assert " long.mp4" not in Runs([running[0]]).describe().replace("corrupt: long.mp4", "")


@pytest.mark.parametrize(
    "mark",
    [b"", b"{", b"\xff", b"[]", b'{"run": 3, "clip": "c", "files": ["f"]}',
     b'{"run": "RUN", "clip": 3, "files": ["f"]}', b'{"run": "RUN", "clip": "c", "files": 3}',
     b'{"run": "RUN", "clip": "c", "files": []}', b'{"run": "RUN", "clip": "c"}', None],
)  # fmt: skip
def test_marks_that_cannot_be_used_are_passed_over(running, mark):
    shard(running, 0).begin("good.mp4")
    path = running[0].journal.run_folder / "started_0001.json"
    if mark is None:
        os.mkfifo(path)
    else:
        path.write_bytes(mark.replace(b"RUN", str(running[1]).encode()))
    workers = [line for line in Runs([running[0]]).describe().splitlines() if "  0:00:" in line]
    assert len(workers) == 1 and workers[0].endswith("good.mp4")


def test_names_cannot_move_or_colour_the_terminal(running):
    dataset, _ = running
    clip = HOSTILE
    shard(running, 0).begin(clip)
    shard(running, 1).failed(clip, 1, 0.1, ClipError("decode", "corrupt\x07", ""))
    text = Runs([dataset]).describe()
    assert len(text.splitlines()) == 5 and text.replace("\n", "").isprintable()
    assert text.count("[bold]x[/bold]") == 2


def test_many_failures_are_one_line_for_each_reason(running):
    journal = shard(running, 0)
    for number in range(30):
        journal.failed(f"x{number}.mp4", 1, 0.1, ClipError("decode", "corrupt", ""))
    for number in range(9):
        journal.failed(f"y{number}.mp4", 1, 0.1, ClipError("probe", f"r{number}", ""))
    failed = [line for line in Runs([running[0]]).describe().splitlines() if "failed" in line]
    assert failed[1] == "  failed: decode, corrupt: x29.mp4 and 29 more"
    assert len(failed) == 7 and failed[-1] == "  failed for 5 more reasons"


def test_a_clock_that_was_set_back_gives_no_rate(datasets):
    announce(datasets[0], time.time() + 3600, 10)
    with datasets[0].journal.writer(0, "f", {}) as writer:
        writer.ok("x.mp4", 1, 0.1, {})
    with held(RunLock(datasets[0].lock_path)):
        text = Runs([datasets[0]]).describe()
    assert "0.00 clips/s, ETA ?, 0.00 clips/s overall" in text


def test_the_rate_of_now_is_not_that_of_the_whole_run(running):
    with running[0].journal.writer(0, "f", {}) as writer:
        writer.ok("x.mp4", 1, 0.1, {})
        for number in range(6):
            writer.ok(f"{number}.mp4", 1, 0.1, {})
    assert "  0.02 clips/s, ETA 0:02:" in Runs([running[0]]).describe()
    assert ", 0.01 clips/s overall" in Runs([running[0]]).describe()


def test_a_journal_that_was_removed_is_read_anew(running):
    dataset, _ = running
    runs = Runs([dataset])
    shard(running, 0).ok("x.mp4", 1, 0.1, {})
    assert "done 1," in runs.describe()
    (path,) = dataset.journal.own_files()
    path.unlink()
    assert "done 0," in runs.describe()
    shard(running, 0).ok("y.mp4", 1, 0.1, {})
    assert "done 1," in runs.describe()


def test_watch_redraws_in_a_terminal_and_writes_nothing(project):
    watch = [*KEDRO, "extract-status", "--watch", "--every=0.1"]
    watch += ["--params=extract.corpus=k150ka"]
    before = hashes(project.root)
    run = TerminalRun(watch, project.root, 40)
    run.read(until=lambda text: text.count("No run has") >= 3)
    assert hashes(project.root) == before
    journal = Journal(project.journal, project.features)
    started_at = time.time()
    journal.announce({"started_at": started_at, "wanted": 9, "due": 9, "flush_every": 1})
    lock = RunLock(project.journal / "run.lock")
    lock.acquire()
    worker = ShardJournal(journal, 0, "f", {}, str(started_at))
    worker.begin(HOSTILE)
    before = hashes(project.root)
    run.read(until=lambda text: text.count("[bold]x[/bold]") >= 3)
    assert hashes(project.root) == before
    lock.release()
    run.read(until=lambda text: "nothing is running" in text)
    run.type(b"\x03")
    assert run.end() == 130
    screen = [line for line in run.screen() if line]
    assert screen[-1] == "Stopped" and "no rate: nothing is running" in screen[-2], screen
    assert sum("wanted 9" in line for line in screen) == 1 and "Traceback" not in str(screen)
    assert run.written.count(b"\x1b[?25l") == run.written.count(b"\x1b[?25h") == 1


def test_watch_writes_plain_lines_where_there_is_no_terminal(project):
    command = [*KEDRO, "extract-status", "--watch", "--every=0.1"]
    with subprocess.Popen(command, cwd=project.root, stdout=subprocess.PIPE) as watch:
        assert watch.stdout is not None
        lines = [watch.stdout.readline() for _ in range(6)]
        watch.send_signal(2)
        rest = watch.stdout.read()
        assert watch.wait() == 130
    assert lines[1] == lines[3] == lines[5] and lines[1].startswith(b"No run has begun in ")
    assert b"\x1b" not in b"".join(lines) + rest


@pytest.mark.parametrize(
    ("command", "params", "entries"),
    [
        ("extract-status", {}, 4),
        ("extract-status", {"extract": {"limit": 3}, "journal": "/j"}, 4),
        ("extract-status", {"extract": "nonsense"}, 4),
        ("ingest-status", {"extract": {"corpus": "k150kb"}}, 2),
        ("extract-status", {"extract": {"corpus": "konvid-1k"}}, ["konvid_1k_journal"]),
        ("ingest-status", {"ingest": {"corpus": "konvid-1k"}}, ["konvid_1k_ingest_journal"]),
        ("fr-status", {"fr_from_nr": {"corpus": "konvid_150k"}}, ["k150k_fr_journal"]),
    ],
)
def test_params_name_one_corpus_or_all_are_meant(command, params, entries):
    found = _entries(KINDS[command], params)
    assert (len(found) if isinstance(entries, int) else found) == entries


def test_a_corpus_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(click.BadParameter, match=r"k150kc is not one of k150ka, k150kb, konvid"):
        _entries(KINDS["extract-status"], {"extract": {"corpus": "k150kc"}})


@pytest.mark.parametrize("name", list(KINDS))
def test_help_names_the_options_of_run(name):
    text = CliRunner().invoke(status_command(name), ["--help"]).output
    assert all(option in text for option in ("--env", "--conf-source", "--params"))
