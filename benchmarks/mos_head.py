"""What a MOS head costs: a whole run on a made-up table, and what a killed run loses.

Usage::

    python benchmarks/mos_head.py run [--clips-count 152265] [--log FILE]
    python benchmarks/mos_head.py resume [--clips-count 152265] [--folds 10]

``run`` prints wall and CPU seconds of ``kedro run --pipelines=mos_head`` end to end, and the peak
memory of all its processes together. ``resume`` does the same, then kills a second run with
SIGKILL when it has kept so many folds, starts it again, and compares the model sets byte by byte.
The labels are five votes on a known function of two columns; the PLCC of that function is printed,
which no model can exceed but by luck.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil  # type: ignore[import-untyped]
from extract import machine, make_project
from ingest import cost_of, watching_memory

from k150k_pipeline.schemas.features import COLUMNS, VALUE_COLUMNS

WHOLE_CORPUS = 152_265
COMMAND = (sys.executable, "-m", "kedro", "run", "--pipelines=mos_head")
FEATURES = "data/04_feature/full_features_konvid_150k.parquet"
CORPUS = "data/02_intermediate/konvid_150k.jsonl"
FINISHED = "data/02_intermediate/mos_head_finished"
MODELS = "data/06_models/mos_head"
AGAIN = "is kept from an earlier run and not fitted again"


def main() -> None:
    """Parse the command line and run one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    run, resume = commands.add_parser("run"), commands.add_parser("resume")
    for command in (run, resume):
        command.add_argument("--clips-count", type=int, default=WHOLE_CORPUS)
    run.add_argument("--log", type=Path, help="where the log of the run is kept")
    resume.add_argument("--folds", type=int, default=10, help="folds to keep before the kill")
    options = parser.parse_args()
    print(f"machine: {machine()}")
    with tempfile.TemporaryDirectory() as folder:
        frame, optimum = make_table(options.clips_count)
        print(
            f"{options.clips_count:,} clips; PLCC of the function behind the labels {optimum:.4f}"
        )
        if options.command == "run":
            measure(Path(folder, "one"), frame, options.log)
        else:
            compare(Path(folder), frame, options.folds)


def make_table(clips: int) -> tuple[pd.DataFrame, float]:
    """Return a features table, and the PLCC of the function behind its labels."""
    motion, cambi = (VALUE_COLUMNS.index(name) for name in ("motion_mean", "cambi_mean"))
    draw = np.random.default_rng(1)
    values = draw.normal(size=(clips, len(VALUE_COLUMNS)))
    frame = pd.DataFrame(values, columns=list(VALUE_COLUMNS))
    frame[["ciede2000_mean", "ciede2000_std"]] = np.nan
    opinion = 3 + 0.6 * np.tanh(values[:, motion] - 0.6 * values[:, cambi])
    votes = np.clip(np.rint(opinion[:, None] + 0.89 * draw.normal(size=(clips, 5))), 1, 5)
    names = [f"orig_{10_000_000_000 + i}_540_5s.mp4" for i in range(clips)]
    frame = frame.assign(clip_name=names, width=960, height=540, mos=votes.mean(axis=1))
    return frame[list(COLUMNS)], float(np.corrcoef(opinion, frame["mos"])[0, 1])


def write_project(project: Path, frame: pd.DataFrame) -> None:
    """Write a project whose features and corpus are those of a table."""
    make_project(project)
    for name in (FEATURES, CORPUS):
        (project / name).parent.mkdir(parents=True)
    frame.to_parquet(project / FEATURES)
    draw = np.random.default_rng(2)
    sizes = draw.integers(100_000, 900_000, len(frame))
    with (project / CORPUS).open("w") as file:
        for name, mos, size in zip(frame["clip_name"], frame["mos"], sizes, strict=True):
            file.write(json.dumps(corpus_row(name, mos, int(size))) + "\n")


def corpus_row(name: str, mos: float, size: int) -> dict[str, object]:
    """Return the corpus row of a clip."""
    return {
        "src": name, "src_sha256": hashlib.sha256(name.encode()).hexdigest(),
        "src_size_bytes": size, "width": 960, "height": 540,
        "framerate": (24.0, 25.0, 30.0)[size % 3], "duration_s": 5.0, "pix_fmt": "yuv420p",
        "encoder_upstream": "h264", "mos": mos, "mos_std_dev": 0.9, "n_ratings": 5,
        "corpus": "konvid-150k", "corpus_version": "konvid-150k-2019",
        "ingested_at_utc": "2030-01-01T00:00:00+00:00",
    }  # fmt: skip


def measure(project: Path, frame: pd.DataFrame, log: Path | None = None) -> Path:
    """Run once with nothing kept, print the cost, and return the current version."""
    write_project(project, frame)
    path = log or project / "run.log"
    with watching_memory() as resident, watching_memory(proportional_bytes) as proportional:
        cost = cost_of(lambda: run(project, path))
    print(f"kedro run, end to end {cost}")
    print(
        f"peak of all processes {max(proportional) / 2**30:.2f} GiB; "
        f"{max(resident) / 2**30:.2f} GiB with what they share counted for each"
    )
    scores = json.loads((project / "data/08_reporting/mos_head_metrics.json").read_text())
    found = scores["scores"]["ensemble"]["plcc"]
    kept = sum(file.stat().st_size for file in (project / FINISHED).iterdir())
    print(f"{scores['verdict']}, {scores['model']}, PLCC {found:.4f}; {kept / 1e3:.0f} kB kept")
    return current(project)


def proportional_bytes(process: psutil.Process) -> int:
    """Return the memory of a process, with its part of what it shares; 0 when it has ended."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def run(project: Path, log: Path) -> None:
    """Run the pipeline as a user does; print its log when it fails."""
    with log.open("w") as file:
        code = subprocess.run(COMMAND, cwd=project, stdout=file, stderr=file).returncode
    if code:
        sys.exit(f"{log.read_text()}\nmos_head failed with exit status {code}")


def compare(folder: Path, frame: pd.DataFrame, folds: int) -> None:
    """Kill a run in the middle, start it again, and compare with an undisturbed one."""
    undisturbed = measure(folder / "one", frame)
    project = folder / "other"
    write_project(project, frame)
    kept, seconds = killed(project, folds)
    started = time.perf_counter()
    run(project, project / "again.log")
    again = (project / "again.log").read_text().count(AGAIN)
    print(f"killed after {seconds:.1f} s with {kept} folds kept")
    print(f"again {time.perf_counter() - started:.1f} s, {again} folds not fitted again")
    same = contents(undisturbed) == contents(current(project))
    print("the model set is", "byte-identical" if same else "DIFFERENT")
    if not same or again != kept:
        sys.exit(1)


def killed(project: Path, folds: int) -> tuple[int, float]:
    """Kill a run with all its processes when it has kept so many folds."""
    started = time.perf_counter()
    with (project / "killed.log").open("w") as file:
        process = subprocess.Popen(
            COMMAND, cwd=project, stdout=file, stderr=file, start_new_session=True
        )
        while count(project) < folds and process.poll() is None:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return count(project), time.perf_counter() - started


def count(project: Path) -> int:
    """Return the number of folds that are kept."""
    return len(list((project / FINISHED).glob("[!.]*.json")))


def current(project: Path) -> Path:
    """Return the folder of the current version."""
    return (project / MODELS / "current").resolve()


def contents(version: Path) -> dict[str, bytes]:
    """Return the files of a version."""
    return {path.name: path.read_bytes() for path in version.iterdir()}


if __name__ == "__main__":
    main()
