"""What a cluster costs and gains: clips of a fixed cost, on one worker, on several, and locally.

Usage::

    python benchmarks/cluster.py [--clips 1280] [--seconds 2.0] [--workers 8] [--shards 64] [--one]

Scoring is a sleep, so the workers need no cores of their own, and a machine of two cores stands for
eight; all else, such as the start of eight processes, has to share the two. Scheduler and worker
are processes of this machine. Each run is a whole ``kedro run``, from its plan to its report; what
Python takes to start the command itself is left out. Printed are the seconds of the DaskRunner and
of the ProcessRunner with all workers, and what Dask costs over the ProcessRunner.

One worker needs no less than all of the sleep, three quarters of an hour. How many times faster all
workers are is printed for that bound, and with ``--one`` for a run. The machine has to be idle.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import _fixed_cost
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.runner import AbstractRunner

from k150k_pipeline.pipelines.feature_extraction import nodes
from k150k_pipeline.runners import DaskRunner, ProcessRunner

PROJECT = Path(__file__).resolve().parents[1]
_PORT = 18786
_ADDRESS = f"tcp://127.0.0.1:{_PORT}"


def make_project(root: Path, clips: int) -> None:
    """Make a project with empty clips and a label for each."""
    shutil.copytree(PROJECT / "conf", root / "conf", ignore=shutil.ignore_patterns("local"))
    (root / "conf/local").mkdir()
    (root / "src").mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(PROJECT / name, root)
    drop = root / "data/01_raw/konvid-150k"
    (drop / "k150ka_extracted").mkdir(parents=True)
    names = [f"orig_{number:05d}_540_5s.mp4" for number in range(clips)]
    for name in names:
        (drop / "k150ka_extracted" / name).touch()
    rows = "".join(f"{name},3\n" for name in names)
    (drop / "k150ka_scores.csv").write_text(f"video_name,video_score\n{rows}")


@contextlib.contextmanager
def cluster(threads: int) -> Iterator[None]:
    """Run a scheduler, and a worker with so many threads."""
    start = (sys.executable, "-m")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = [*start, "distributed.cli.dask_scheduler", "--port", str(_PORT), "--no-dashboard"]
    worker = [*start, "distributed.cli.dask_worker", _ADDRESS, "--nthreads", str(threads)]
    commands = (scheduler, [*worker, "--no-dashboard"])
    processes = [subprocess.Popen(command, **quiet) for command in commands]  # type: ignore[call-overload]
    try:
        yield
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()


def timed(root: Path, runner: AbstractRunner, shards: int) -> float:
    """Run ``extract`` from nothing and return its wall-clock seconds."""
    for folder in ("02_intermediate", "04_feature", "08_reporting"):
        shutil.rmtree(root / "data" / folder, ignore_errors=True)
    parameters = {"extract": {"shards": shards, "verify_clips": 0}}
    with KedroSession.create(project_path=root, runtime_params=parameters) as session:
        started = time.perf_counter()
        cast(KedroSession, session).run(pipeline_names=["extract"], runner=runner)
        return time.perf_counter() - started


def on_cluster(root: Path, threads: int, shards: int) -> float:
    """Return the seconds of a run on a cluster whose worker waits for it."""
    with cluster(threads):
        return timed(root, DaskRunner(_ADDRESS), shards)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=1280)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--shards", type=int, default=64)
    parser.add_argument("--one", action="store_true", help="run one worker too")
    options = parser.parse_args()
    os.environ[_fixed_cost.SECONDS] = str(options.seconds)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT / "benchmarks"), *sys.path[1:]])
    nodes.score_shard = _fixed_cost.score_shard  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        make_project(Path(folder), options.clips)
        os.chdir(folder)
        bootstrap_project(Path.cwd())
        workers, shards = options.workers, options.shards
        several = on_cluster(Path.cwd(), workers, shards)
        local = timed(Path.cwd(), ProcessRunner(max_workers=workers), shards)
        sleep = options.clips * options.seconds
        one = on_cluster(Path.cwd(), 1, shards) if options.one else sleep
        os.chdir(PROJECT)
    print(f"{options.clips} clips of {options.seconds:g} s in {shards} shards, {sleep:g} s in all")
    how = "measured" if options.one else "at least"
    print(f"DaskRunner, {workers} workers: {several:.1f} s; one worker, {how}: {one:.1f} s")
    print(f"{one / several:.2f} times faster; at most {workers} times is possible")
    print(f"ProcessRunner, {workers} workers: {local:.1f} s; Dask costs {several - local:+.1f} s")


if __name__ == "__main__":
    main()
