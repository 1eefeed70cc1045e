"""kill -9 while files of the older script are taken over: they stay, and the rerun completes."""

from __future__ import annotations

import os
import random
import shutil
import signal

from k150k_pipeline.journal import Journal
from k150k_pipeline.pipelines.feature_extraction.legacy import LegacyFiles
from tests.support.older_script import (
    hash_of,
    hashes,
    newer_row,
    older_row,
    run_without_engine,
    write_staging,
    write_table,
)

CLIPS = ("a.mp4", "b.mp4", "c.mp4")
CHANGING = ("link", "rename", "replace", "unlink")
KIND = "kill points: foreign files"


def leave_files(journal: Journal) -> None:
    beside = LegacyFiles(journal.output)
    write_table(journal.output, [newer_row("a.mp4")])
    write_staging(beside.rows_paths[0], [older_row("b.mp4")])
    write_staging(beside.rows_paths[1], [newer_row("c.mp4")], end='{"torn')
    beside.done_path.write_text("c.mp4\nb.mp4\na.mp4\n")


def run_until(journal: Journal, point: int, after: bool) -> int:
    """Run in a fork that is killed before or after its n-th change of a name; return its status."""
    pid = os.fork()
    if pid == 0:
        count = 0

        def watched(change):
            def call(*arguments, **options):
                nonlocal count
                count += 1
                if count == point and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                try:
                    return change(*arguments, **options)
                finally:
                    if count == point:
                        os.kill(os.getpid(), signal.SIGKILL)

            return call

        for name in CHANGING:
            setattr(os, name, watched(getattr(os, name)))
        status = 1
        try:
            run_without_engine(journal, CLIPS)
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_kill_at_any_change_loses_nothing(tmp_path, ledger):
    done, draw = False, random.Random(7)
    for point in range(1, 100):
        for after in (False, True) if ledger.full else (draw.random() < 0.5,):
            folder = tmp_path / f"{point}-{after}"
            journal = Journal(folder / "journal", folder / "out/features.parquet")
            leave_files(journal)
            foreign = hashes(folder) - {staging_of_48_columns(journal)}
            with ledger.case(KIND, f"{point} {after}") as case:
                status = run_until(journal, point, after)
                assert status in (0, -signal.SIGKILL)
                assert foreign <= hashes(folder), "a file is lost by the kill"
                done = status == 0
                report = run_without_engine(journal, CLIPS)
                assert foreign <= hashes(folder), "a file is lost by the rerun"
                assert report["counts"]["newly_finished"] == 0
                case.clips(CLIPS, [entry.clip for entry in journal.entries()])
                assert not list(folder.rglob("*.tmp"))
            shutil.rmtree(folder)
        if done:
            break
    assert done and point > 10


def staging_of_48_columns(journal: Journal) -> str:
    """Return the hash of the file that is removed when its rows are durable."""
    return hash_of(LegacyFiles(journal.output).rows_paths[0])
