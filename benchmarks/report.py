"""What the report pages cost for a whole corpus.

Usage::

    python benchmarks/report.py [--clips-count 152265] [--pages extract ingest fr_from_nr mos_head]

Makes what each page is drawn from, of random numbers: a features table and a journal, the rows of a
corpus, FR rows at five CRFs, or a verdict and predictions. Then draws the page from them as a run
does, each in a process of its own. Prints wall and CPU seconds, the peak memory of the process, and
the size of the page.
"""

from __future__ import annotations

import argparse
import atexit
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from mos_head import corpus_row

from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.records import Entry, encode_entry, encode_header, encode_payload
from k150k_pipeline.mos.metrics import METRICS
from k150k_pipeline.pipelines.clipwise import Report
from k150k_pipeline.pipelines.feature_extraction.picturing import draw
from k150k_pipeline.reports import render
from k150k_pipeline.reports.curves import read_sweeps
from k150k_pipeline.reports.fr_from_nr import Swept, fr_page
from k150k_pipeline.reports.ingest import Ingested, corpus_frame, ingest_page
from k150k_pipeline.reports.mos_head import mos_head_page
from k150k_pipeline.schemas.features import COLUMNS, VALUE_COLUMNS
from k150k_pipeline.schemas.mos_parameters import MosHeadParameters
from k150k_pipeline.schemas.parameters import ExtractParameters, VmafParameters

WHOLE_CORPUS = 152_265
SCORING = {"backend": "native", "plan": "identity"}
KEY = "benchmark"
CRFS = (18, 23, 28, 33, 38)
_VARYING = ("motion", "motion2", "motion3", "cambi", "vmaf", "psnr_y", "psnr_cb", "psnr_cr")


def names_of(rows: int) -> list[str]:
    return [f"orig_{number:011d}_540_5s.mp4" for number in range(rows)]


def make_table(rows: int) -> pa.Table:
    random = np.random.default_rng(0)
    columns = {name: np.ones(rows) for name in COLUMNS}
    for name in VALUE_COLUMNS:
        if name.rpartition("_")[0] in _VARYING:
            columns[name] = random.lognormal(size=rows)
    names = names_of(rows)
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
              "failed", "not_yet_tried", "done_before", "download_failed", "broken_clips",
              "bad_rows", "bad_votes")  # fmt: skip
    return {
        "corpus": "k150ka", "package": "k150k-pipeline 0", "fingerprint": KEY,
        "started_at": 1e9, "finished_at": 1e9 + rows * 0.2, "clips_per_second": 5.0,
        "counts": {**dict.fromkeys(counts, 0), "wanted": rows, "rows": rows,
                   "newly_finished": rows, "clips_without_label": rows, "fr_rows": 5 * rows},
        "failure_rate": 0.0, "failures_by_reason": {}, "failed_clips": {},
        "rows_scored_with": {KEY: {"rows": rows, **SCORING}}, "clips_without_label": unlabelled,
        "attrition": 0.0, "same_content": [], "probing": {"probe": "pyav"}, "scoring": SCORING,
    }  # fmt: skip


def extract(rows: int) -> Callable[[], str]:
    temporary = tempfile.TemporaryDirectory()
    atexit.register(temporary.cleanup)
    folder = Path(temporary.name)
    journal, table = Journal(folder / "journal", folder / "features.parquet"), make_table(rows)
    write_journal(journal, table["clip_name"].to_pylist())
    report = make_report(rows)
    return lambda: draw(report, table, journal, ExtractParameters(), VmafParameters())[0]


def ingest(rows: int) -> Callable[[], str]:
    sizes = np.random.default_rng(0).integers(100_000, 900_000, rows).tolist()
    corpus = [
        corpus_row(name, 1 + size % 21 / 5, size)
        for name, size in zip(names_of(rows), sizes, strict=True)
    ]
    return lambda: render(ingest_page(Ingested(make_report(rows), corpus_frame(corpus), {}, {})))


def fr_rows(clips: int) -> Iterator[dict[str, Any]]:
    costs = np.random.default_rng(0).lognormal(8, 1, clips).tolist()
    for name, cost in zip(names_of(clips), costs, strict=True):
        for crf in CRFS:
            yield {
                "src": name, "encoder": "libx264", "preset": "medium", "extra_params": "",
                "crf": crf, "bitrate_kbps": cost * 0.5 ** (crf / 6),
                "vmaf_score": 99 - 1.2 * (crf - 18) - cost % 5,
            }  # fmt: skip


def fr_from_nr(rows: int) -> Callable[[], str]:
    return lambda: render(fr_page(Swept(make_report(rows), read_sweeps(fr_rows(rows)), {}, {})))


def make_verdict(rows: int) -> dict[str, Any]:
    intervals = {str(metric): [0.59, 0.61] for metric in METRICS}
    scores = {**{str(metric): 0.6 for metric in METRICS}, "intervals": intervals}
    ceiling = {"plcc": 0.67, "plcc_high": 0.68, "srocc": 0.66, "rmse": 0.42, "label_sd": 0.6,
               "true_sd": 0.4, "votes": 5.0, "vote_sd": 0.93, "source": "parameters"}  # fmt: skip
    folds = [{"fold": f"fold {n}", "seed": "ensemble", **scores} for n in range(5)]
    kind = {"kind": "trees", "scores": folds, "mean": scores, "fold_spread": 0.0}
    seeds = [{"seed": seed, **scores} for seed in range(5)]
    return {
        "verdict": "HOLD", "judged_on": "the held-out part", "model": "trees", "reasons": [],
        "checks": [], "ceiling": ceiling, "mean_predictor_rmse": 0.6, "vmaf_only": None,
        "metadata_only": {"ridge": scores}, "columns_alone": {}, "fold_spread": 0.0,
        "scores": {"clips": rows, "contents": rows, "mean": scores, "ensemble": scores,
                   "per_seed": seeds, "seed_spread": 0.0},
        "importance": dict.fromkeys(VALUE_COLUMNS, 0.1), "cross_validation": {"trees": kind},
    }  # fmt: skip


def mos_head(rows: int) -> Callable[[], str]:
    random = np.random.default_rng(0)
    mos = random.integers(5, 26, rows) / 5
    predicted = 3 + 0.5 * (mos - 3) + random.normal(0, 0.2, rows)
    predictions = pd.DataFrame({"clip_name": names_of(rows), "mos": mos, "predicted": predicted})
    data = {
        "inputs": [], "dropped_columns": dict.fromkeys(VALUE_COLUMNS, "constant"), "clips": rows,
        "with_corpus_row": rows, "without_corpus_row": 0, "labels_that_differ_from_the_corpus": 0,
        "clips_per_corpus": {"konvid-150k": rows}, "corpus_versions": [], "scored_with": {},
        "mos": {"mean": 3.0, "sd": 0.6, "lowest": 1.0, "highest": 5.0}, "judge_scored_with": {},
        "parts": {"held out": rows}, "split_policy": "hash", "fingerprint": KEY,
    }  # fmt: skip
    report = {"data": data, "metrics": make_verdict(rows)}
    return lambda: render(mos_head_page(report, predictions, MosHeadParameters(), "now"))


PAGES = {"extract": extract, "ingest": ingest, "fr_from_nr": fr_from_nr, "mos_head": mos_head}


def measure(name: str, rows: int) -> None:
    draw_page = PAGES[name](rows)
    wall, cpu = time.perf_counter(), time.process_time()
    page = draw_page()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    drawn = "cannot be drawn" not in page
    print(f"{name}, {rows:,} clips: {wall:.1f} s wall, {cpu:.1f} s CPU, peak {peak:.2f} GiB, page "
          f"{len(page.encode()) / 1e6:.2f} MB, all drawn: {drawn}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips-count", type=int, default=WHOLE_CORPUS)
    parser.add_argument("--pages", nargs="+", choices=list(PAGES), default=list(PAGES))
    options = parser.parse_args()
    if len(options.pages) == 1:
        measure(options.pages[0], options.clips_count)
        return
    for name in options.pages:
        own = ["--pages", name, "--clips-count", str(options.clips_count)]
        subprocess.run([sys.executable, __file__, *own], check=True)


if __name__ == "__main__":
    main()
