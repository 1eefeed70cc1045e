"""What the report page of ``extract`` costs for a whole corpus.

Usage::

    python benchmarks/report.py [--clips-count 152265]

Makes a features table and a journal with one line per clip, of random numbers, and draws the page
from them as a run does. Prints wall and CPU seconds, the peak memory of the process, and the size
of the page.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.records import Entry, encode_entry, encode_header, encode_payload
from k150k_pipeline.pipelines.clipwise import Report
from k150k_pipeline.pipelines.feature_extraction.picturing import draw
from k150k_pipeline.schemas.features import COLUMNS, VALUE_COLUMNS
from k150k_pipeline.schemas.parameters import ExtractParameters, VmafParameters

WHOLE_CORPUS = 152_265
SCORING = {"backend": "native", "plan": "identity"}
KEY = "benchmark"
_VARYING = ("motion", "motion2", "motion3", "cambi", "vmaf", "psnr_y", "psnr_cb", "psnr_cr")


def make_table(rows: int) -> pa.Table:
    random = np.random.default_rng(0)
    columns = {name: np.ones(rows) for name in COLUMNS}
    for name in VALUE_COLUMNS:
        if name.rpartition("_")[0] in _VARYING:
            columns[name] = random.lognormal(size=rows)
    names = [f"orig_{number:011d}_540_5s.mp4" for number in range(rows)]
    mos = random.integers(5, 26, rows) / 5
    return pa.Table.from_pandas(pd.DataFrame({**columns, "clip_name": names, "mos": mos}))


def write_journal(journal: Journal, names: list[str]) -> None:
    journal.folder.mkdir()
    payload = encode_payload(
        {"width": 960, "height": 540, "frames": 150, "values": [0.123456] * 44}
    )
    seconds = np.random.default_rng(1).lognormal(size=len(names))
    with (journal.folder / "shard-0000-host-1-1.jsonl").open("wb") as file:
        file.write(encode_header(KEY, SCORING, {}))
        for number, name in enumerate(names):
            at = 1e9 + number * 0.2
            entry = Entry(name, KEY, 1, at, float(seconds[number]), payload, None)
            file.write(encode_entry(entry))


def make_report(rows: int) -> Report:
    unlabelled = [f"other_{number}.mp4" for number in range(rows)]
    counts = ("recovered", "killed", "labels_without_clip", "bad_labels", "changed_clips",
              "failed", "not_yet_tried", "done_before")  # fmt: skip
    return {
        "corpus": "k150ka", "package": "k150k-pipeline 0", "fingerprint": KEY,
        "started_at": 1e9, "finished_at": 1e9 + rows * 0.2, "clips_per_second": 5.0,
        "counts": {**dict.fromkeys(counts, 0), "wanted": rows, "rows": rows,
                   "newly_finished": rows, "clips_without_label": rows},
        "failure_rate": 0.0, "failures_by_reason": {}, "failed_clips": {},
        "rows_scored_with": {KEY: {"rows": rows, **SCORING}}, "clips_without_label": unlabelled,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips-count", type=int, default=WHOLE_CORPUS)
    rows = parser.parse_args().clips_count
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder, "journal"), Path(folder, "features.parquet"))
        table = make_table(rows)
        write_journal(journal, table["clip_name"].to_pylist())
        wall, cpu = time.perf_counter(), time.process_time()
        page, _ = draw(make_report(rows), table, journal, ExtractParameters(), VmafParameters())
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    drawn = "cannot be drawn" not in page
    print(f"{rows:,} clips: {wall:.1f} s wall, {cpu:.1f} s CPU, peak {peak:.2f} GiB, page "
          f"{len(page.encode()) / 1e6:.2f} MB, all drawn: {drawn}")  # fmt: skip


if __name__ == "__main__":
    main()
