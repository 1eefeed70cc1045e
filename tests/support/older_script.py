"""Files as both forms of the older script leave them, and a run of extract without its engine."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from k150k_pipeline.datasets import AtomicParquetDataset
from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.worker import Tally
from k150k_pipeline.pipelines.clipwise.changes import Changes
from k150k_pipeline.pipelines.feature_extraction.nodes import account_for_clips, merge_extraction
from k150k_pipeline.pipelines.feature_extraction.plan import ExtractionPlan
from k150k_pipeline.pipelines.feature_extraction.planning import clip_parts, read_past
from k150k_pipeline.schemas.features import FEATURES, VALUE_COLUMNS
from k150k_pipeline.schemas.parameters import ExtractParameters, VmafParameters

SPEED = ("speed_temporal", "speed_chroma_u", "speed_chroma_v", "speed_chroma_uv")
SCORING = {"engine": "made up"}
_PSNR = {"psnr_y", "psnr_cb", "psnr_cr"}


def newer_row(name: str, cambi: float = 7.25, **changes: object) -> dict[str, object]:
    """Return a row of 57 columns of a clip against itself."""
    row: dict[str, object] = {
        "clip_name": name, "mos": 3.0, "width": 960, "height": 540,
        "fps": 30.0, "is_hdr": False, "motion_fps_weight": 1.0,
    }  # fmt: skip
    for feature in (*(f for f in FEATURES if f != "ssimulacra2"), *SPEED):
        row[f"{feature}_mean"], row[f"{feature}_std"] = 1.0, 0.0
        if feature in ("ciede2000", "psnr_hvs"):
            row[f"{feature}_mean"] = row[f"{feature}_std"] = math.nan
    row |= {f"{feature}_mean": 60.0 for feature in _PSNR}
    row |= {"cambi_mean": cambi, "vmaf_mean": 99.5, "speed_temporal_mean": 0.125}
    return {**row, **changes}


def older_row(name: str, value: float = 7.25) -> dict[str, object]:
    """Return a row of 48 columns."""
    values = {c: None if "ciede" in c else value for c in VALUE_COLUMNS}
    return {"clip_name": name, "mos": 3.0, "width": 960, "height": 540, **values}


def write_table(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """Write rows as the script does at its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(path, index=False)


def write_staging(path: Path, rows: Iterable[dict[str, object]], end: str = "") -> None:
    """Write rows as the script does after each clip, with a torn line at the end."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + end)


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hashes(folder: Path) -> set[str]:
    """Return the hash of every file in a folder."""
    return {hash_of(path) for path in folder.rglob("*") if path.is_file()}


def run_without_engine(
    journal: Journal, clips: Iterable[str], legacy: str = "take_over", **extract: object
) -> dict[str, object]:
    """Run extract on labelled clips; scores of its own are all 0.5. Returns the report."""
    block = ExtractParameters(legacy=legacy, max_failure_rate=1, **extract)
    past = read_past(journal, "f", SCORING, block, lambda _: Changes())  # there are no files
    mos = dict.fromkeys(sorted(clips), 3.5)
    due = [clip for clip in mos if clip not in past.progress.done]
    for clip in due:
        with journal.writer(0, "f", SCORING) as writer:
            values = [0.5] * len(VALUE_COLUMNS)
            writer.ok(clip, 1, 0.0, {"width": 8, "height": 8, "frames": 1, "values": values})
    plan = ExtractionPlan(
        corpus="k150ka", fingerprint="f", accepted=sorted(past.accepted), scoring=SCORING,
        wanted=len(mos), due=len(due), done_before=len(mos) - len(due), recovered=past.recovered,
        clips_without_label=[], labels_without_clip=[], bad_labels=[], torn_lines=0,
        broken_lines=[], started_at=0.0, changed_clips=[], unknown_files=0, superseded={},
    )  # fmt: skip
    tally = Tally(ok=len(due), failed=0, syncs=0, sync_seconds=0.0)
    table, _, report, _, merged = merge_extraction(
        plan, clip_parts(list(mos), mos), journal, block, tally
    )
    AtomicParquetDataset(filepath=str(journal.output)).save(table)
    account_for_clips(merged, journal, block, VmafParameters())
    return report
