"""What a run of ``extract`` costs besides scoring, for 100,000 and for 1,000,000 clips.

Usage::

    python benchmarks/scale.py [--clips 100000 1000000] [--rounds 3] [--workers 4] [--folder DIR]

Runs ``kedro run --pipelines=extract`` as users do: plan, shards, merge, account and judge, through
the catalog, its datasets, the journal with its fsyncs, and the process runner. Simulated
are only the clips and their scoring: each clip is an empty file, and the engine is a no-op that
opens none and returns the same 150 frames for all. The empty file is still looked for and hashed.

Each round runs 1,000 clips and each of ``--clips``, in turn forwards and backwards. Printed are
the medians: wall and CPU seconds of each stage, and the highest peak of resident memory that a
process had in it. A stage is all nodes of one name; its wall is from the first start to the last
end. Loading and saving count; ``main`` is the process that starts the workers and shows the
progress.

A linear model is made from the two smaller runs, and its prediction for the largest is printed
beside the measurement. Then the same model is printed for 150 thousand, 10 million and 1 billion
clips. The machine has to be idle; three rounds take a quarter of an hour and 3 GiB on the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from extract import machine, make_empty_drop, make_project

FEW = 1_000
STAGES = ("plan", "verify", "shards", "add_up", "merge", "account", "judge", "main")
MADE = ("02_intermediate", "04_feature", "08_reporting")
PAPER = (150_000, 10_000_000, 1_000_000_000)
SCORING = 0.214  # CPU seconds of a clip of 960x540 and five seconds (docs/hardware.md)
CLIP = 1_250_000  # bytes of such a clip at 2 Mbit/s
ROW = 110  # bytes of a row of real features, of which ten columns differ between clips
SEGMENT = 50  # clips of an object of the journal in an object store
PASSES = 3  # over the journal: merge, account, and the plan of the next run
MOST_SECONDS, MOST_MEMORY, MOST_RATIO = 240.0, 2 * 2**30, 1.2


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds of a stage, and the highest peak of resident bytes of its processes."""

    wall: float
    cpu: float
    peak: float


@dataclass(frozen=True)
class Run:
    """One run: its stages, and what it wrote.

    Attributes:
        wall: Seconds from the start of its main process to the end.
        stages: Cost of each stage.
        journal: Bytes of the journal's files.
        features: Bytes of the features.
        synced: Seconds that the workers waited for the disk, added up.
    """

    wall: float
    stages: dict[str, Cost]
    journal: float
    features: float
    synced: float

    @property
    def cpu(self) -> float:
        """CPU seconds of all processes."""
        return sum(cost.cpu for cost in self.stages.values())

    @property
    def peak(self) -> float:
        """Highest resident bytes of a process."""
        return max(cost.peak for cost in self.stages.values())


def main() -> None:
    """Parse the command line, run, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, nargs=2, default=[100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="an empty folder on a disk; default: in TMPDIR")
    options = parser.parse_args()
    sizes = [FEW, *options.clips]
    print(f"machine: {machine()}; {options.workers} workers, medians of {options.rounds} rounds")
    with folder_of(options.folder) as folder:
        projects = {size: project_of(Path(folder), size) for size in sizes}
        runs: dict[int, list[Run]] = {size: [] for size in sizes}
        for number in range(options.rounds):
            for size in sizes if number % 2 == 0 else reversed(sizes):
                runs[size].append(run(projects[size], options.workers))
                print(f"round {number + 1}: {size:,} clips in {runs[size][-1].wall:.1f} s")
    few, some, many = (summary(runs[size]) for size in sizes)
    model = Model(few, some, options.clips[0])
    print_stages(some, many, model, options.clips)
    print_verdict(some, many, model, options.clips)
    print_paper(model)


def folder_of(given: Path | None) -> AbstractContextManager[str | Path]:
    """Return the given folder, or a temporary one, as a context."""
    return tempfile.TemporaryDirectory() if given is None else nullcontext(given)


def project_of(folder: Path, size: int) -> Path:
    """Return a project with a drop of so many empty clips; one that is there is used again."""
    project = folder / f"of_{size}"
    if not project.exists():
        project.mkdir(parents=True)
        make_project(project)
        make_empty_drop(project / "data/01_raw/konvid-150k", size)
        os.sync()
    return project


def run(project: Path, workers: int) -> Run:
    """Run a project from nothing, and return what it took."""
    for name in MADE:
        shutil.rmtree(project / "data" / name, ignore_errors=True)
    records = project / "records.jsonl"
    records.unlink(missing_ok=True)
    script = Path(__file__).with_name("_no_scoring.py")
    command = [sys.executable, str(script), str(workers), str(records)]
    started = time.perf_counter()
    ended = subprocess.run(command, cwd=project, capture_output=True, text=True)
    wall = time.perf_counter() - started
    if ended.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{ended.stderr}")
    nodes = [json.loads(line) for line in records.read_text().splitlines()]
    report = json.loads((project / "data/08_reporting/k150ka_report.json").read_text())
    return Run(
        wall,
        {stage: cost_of(n for n in nodes if stage_of(n["name"]) == stage) for stage in STAGES},
        bytes_of((project / "data/02_intermediate/k150ka_journal").glob("shard-*.jsonl")),
        bytes_of((project / "data/04_feature").rglob("*.parquet")),
        report["fsync_seconds"],
    )


def stage_of(node: str) -> str:
    """Return the stage of a node by its name."""
    step = node.rpartition(".")[2]
    return "shards" if step.startswith("shard_") else step


def cost_of(nodes: Iterable[dict[str, float]]) -> Cost:
    """Return what nodes took together."""
    found = list(nodes)
    wall = max(n["ended"] for n in found) - min(n["started"] for n in found)
    return Cost(wall, sum(n["cpu"] for n in found), max(n["peak"] for n in found))


def bytes_of(files: Iterable[Path]) -> int:
    """Return the size of files."""
    return sum(path.stat().st_size for path in files)


def summary(runs: Sequence[Run]) -> Run:
    """Return the medians of runs."""

    def of(value: Callable[[Run], float]) -> float:
        return median(map(value, runs))

    def cost(stage: str) -> Cost:
        return Cost(
            of(lambda r: r.stages[stage].wall),
            of(lambda r: r.stages[stage].cpu),
            of(lambda r: r.stages[stage].peak),
        )

    return Run(
        of(lambda r: r.wall),
        {stage: cost(stage) for stage in STAGES},
        of(lambda r: r.journal),
        of(lambda r: r.features),
        of(lambda r: r.synced),
    )


class Model:
    """What a run costs: a fixed part and one per clip, from a run of few clips and one of some.

    Args:
        few: A run of ``FEW`` clips.
        some: A run of more.
        clips: Clips of that one.
    """

    def __init__(self, few: Run, some: Run, clips: int) -> None:
        self._few, self._some, self._clips = few, some, clips

    def __call__(self, value: Callable[[Run], float], clips: int) -> float:
        """Return the prediction of a value for a number of clips."""
        low, high = value(self._few), value(self._some)
        each = (high - low) / (self._clips - FEW)
        return low + each * (clips - FEW)

    def peak(self, stage: str, clips: int) -> float:
        """Return the predicted peak of a stage.

        A merge has at most one part in memory. Where there are more, rows wait on the disk.
        """
        from k150k_pipeline.pipelines.clipwise.spill import BUFFERED
        from k150k_pipeline.pipelines.feature_extraction.plan import CLIPS_PER_PART
        from k150k_pipeline.schemas.features import VALUE_COLUMNS

        bounded = stage in ("merge", "account")
        held = min(clips, CLIPS_PER_PART) if bounded else clips
        waiting = stage == "merge" and clips > CLIPS_PER_PART
        part = CLIPS_PER_PART * len(VALUE_COLUMNS) * 8
        more = BUFFERED + part if waiting else 0
        return self(lambda r: r.stages[stage].peak, held) + more


def print_stages(some: Run, many: Run, model: Model, clips: Sequence[int]) -> None:
    """Print every stage of both runs, and the prediction for the larger one."""
    print(f"\n{'':10}{clips[0]:>26,} clips{clips[1]:>26,} clips{'predicted':>26}")
    head = f"{'wall s':>10}{'CPU s':>10}{'peak MiB':>12}"
    print(f"{'stage':10}{head}{head}{head}")
    for stage in STAGES:
        one, two = some.stages[stage], many.stages[stage]
        predicted = Cost(
            model(lambda r, s=stage: r.stages[s].wall, clips[1]),  # type: ignore[misc]
            model(lambda r, s=stage: r.stages[s].cpu, clips[1]),  # type: ignore[misc]
            model.peak(stage, clips[1]),
        )
        cells = (
            f"{c.wall:10.1f}{c.cpu:10.1f}{c.peak / 2**20:12.0f}" for c in (one, two, predicted)
        )
        print(f"{stage:10}{''.join(cells)}")


def print_verdict(some: Run, many: Run, model: Model, clips: Sequence[int]) -> None:
    """Print totals, predictions and whether the bounds hold."""
    values: dict[str, Callable[[Run], float]] = {
        "wall s": lambda r: r.wall,
        "CPU s": lambda r: r.cpu,
        "waiting for fsyncs, s": lambda r: r.synced,
        "journal MB": lambda r: r.journal / 1e6,
        "features MB": lambda r: r.features / 1e6,
    }
    print(f"\n{'':24}{clips[0]:>12,}{clips[1]:>12,}{'predicted':>12}  off by")
    for name, value in values.items():
        predicted, found = model(value, clips[1]), value(many)
        off = found / predicted - 1
        print(f"{name:24}{value(some):12.1f}{found:12.1f}{predicted:12.1f}  {off:+.1%}")
    each = [run.wall / size for run, size in zip((some, many), clips, strict=True)]
    print(f"time per clip: {each[0] * 1e6:.0f} and {each[1] * 1e6:.0f} µs")
    checks = {
        f"{clips[1]:,} clips in {many.wall:.0f} s, at most {MOST_SECONDS:.0f}": many.wall
        < MOST_SECONDS,
        f"largest process {many.peak / 2**30:.2f} GiB, at most 2": many.peak < MOST_MEMORY,
        f"time per clip {each[1] / each[0]:.2f} times, at most {MOST_RATIO}": each[1]
        <= MOST_RATIO * each[0],
    }
    for check, holds in checks.items():
        print(f"{'holds' if holds else 'FAILS'}: {check}")


def print_paper(model: Model) -> None:
    """Print what the model says of corpora that no machine here has."""
    rows: dict[str, Callable[[int], float]] = {
        "clips, TB": lambda n: n * CLIP / 1e12,
        "scoring, core-hours": lambda n: n * SCORING / 3600,
        "all else, core-hours": lambda n: model(lambda r: r.cpu, n) / 3600,
        "clips of a shard of 4,096": lambda n: n / 4096,
        "plan, minutes": lambda n: model(lambda r: r.stages["plan"].wall, n) / 60,
        "merge, minutes": lambda n: model(lambda r: r.stages["merge"].wall, n) / 60,
        "account, minutes": lambda n: model(lambda r: r.stages["account"].wall, n) / 60,
        "journal, GB": lambda n: model(lambda r: r.journal, n) / 1e9,
        "features, GB": lambda n: n * ROW / 1e9,
        "memory of plan, GiB": lambda n: model.peak("plan", n) / 2**30,
        "memory of merge, GiB": lambda n: model.peak("merge", n) / 2**30,
        "memory of main, GiB": lambda n: model.peak("main", n) / 2**30,
        "GETs of clips": lambda n: n,
        "PUTs of the journal": lambda n: n / SEGMENT,
        "GETs of the journal": lambda n: PASSES * n / SEGMENT,
    }
    print(f"\n{'':26}" + "".join(f"{n:>16,}" for n in PAPER))
    for name, value in rows.items():
        print(f"{name:26}" + "".join(f"{shown(value(n)):>16}" for n in PAPER))


def shown(value: float) -> str:
    """Return a number with three digits or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
