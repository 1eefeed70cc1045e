"""kill -9 while files of the older script are taken over: they stay, and the rerun completes."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from k150k_pipeline.datasets import ExtraColumnsDataset
from k150k_pipeline.journal import Journal
from k150k_pipeline.pipelines.feature_extraction.describing import extra_table
from k150k_pipeline.pipelines.feature_extraction.legacy import LegacyFiles
from k150k_pipeline.schemas.parameters import ExtractParameters
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


def run_until(run: Callable[[], object], point: int, after: bool) -> int:
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
            run()
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
                status = run_until(partial(run_without_engine, journal, CLIPS), point, after)
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


def test_a_kill_while_the_extra_columns_are_saved_loses_no_table_of_others(tmp_path, ledger):
    table = extra_table(CLIPS, {}, ExtractParameters(extra_columns=("fps",)))
    done = False
    for point in range(1, 100):
        for after in (False, True):
            folder = tmp_path / f"{point}-{after}"
            folder.mkdir()
            extra = ExtraColumnsDataset(filepath=str(folder / "features.parquet"))
            pq.write_table(pa.table({"clip_name": ["a.mp4"], "fps": [50.0]}), extra.path)
            foreign = hashes(folder)
            with ledger.case(KIND, f"extra columns {point} {after}"):
                status = run_until(partial(extra.save, table), point, after)
                assert status in (0, -signal.SIGKILL)
                done = status == 0
                assert foreign <= hashes(folder), "the table is lost by the kill"
                extra.save(table)
                assert foreign <= hashes(folder), "the table is lost by the rerun"
                assert pq.read_table(extra.path).equals(table)
                assert len(list(folder.iterdir())) == 2
            shutil.rmtree(folder)
        if done:
            break
    assert done and point > 2
