"""What extraction costs: each engine and plan, decoding alone, and everything but scoring.

Usage::

    python benchmarks/extract.py plans [--clips DIR] [--limit N] [--rounds 5] [--no-full]
    python benchmarks/extract.py isolation [--clips DIR] [--limit N] [--rounds 5]
    python benchmarks/extract.py agreement [--clips DIR] [--limit N] [--first FRAMES]
    python benchmarks/extract.py overhead [--clips-count 152265] [--workers 2]

``plans`` runs decoding alone and the engines ``native`` and ``embedded`` on the same clips in turn,
several rounds of it, and prints medians: CPU seconds per clip (children included), ratios, and the
clip with the most scoring per frame. So it does with the whole ``kedro run``, on four copies of
each clip and on one clip, so that what a clip adds is known apart from the start. The full plan
runs once and takes most of the time; ``--no-full`` leaves it out. The machine has to be idle, and
one core is enough: ``taskset -c 1 python benchmarks/extract.py plans --clips DIR --no-full``.
``isolation`` prints what it costs to probe and score clips in a helper instead of in the process
itself, in alternating rounds. ``agreement`` prints how much identity and full plan differ, on whole
clips or on their first frames. ``overhead`` journals a whole corpus with scoring replaced by a
no-op.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import functools
import itertools
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from k150k_pipeline.isolation import own_helper
from k150k_pipeline.media.ffmpeg import decode_arguments, find_ffmpeg
from k150k_pipeline.media.probe import ClipInfo, probe
from k150k_pipeline.media.tools import run_tool
from k150k_pipeline.schemas.features import FEATURES
from k150k_pipeline.schemas.parameters import ExtractParameters, SampleParameters, VmafParameters
from k150k_pipeline.vmaf import make_engine
from k150k_pipeline.vmaf.aggregate import aggregate
from k150k_pipeline.vmaf.isolated_scoring import IsolatedScorer
from k150k_pipeline.vmaf.native import usual_frames
from k150k_pipeline.vmaf.plans import FULL, IDENTITY

PROJECT = Path(__file__).resolve().parents[1]
PR_SET_CHILD_SUBREAPER = 36
COPIES = 4
ENGINES: tuple[Literal["native"], Literal["embedded"]] = ("native", "embedded")


def main() -> None:
    """Parse the command line and run one benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("plans", "isolation", "agreement"):
        command = commands.add_parser(name)
        command.add_argument("--clips", type=Path, help="folder of clips; default: synthetic ones")
        command.add_argument("--limit", type=int)
        if name != "agreement":
            command.add_argument("--rounds", type=int, default=5)
        if name == "plans":
            command.add_argument("--no-full", dest="full", action="store_false")
        if name == "agreement":
            command.add_argument(
                "--first", type=int, help="number of frames to score; default: all"
            )
    overhead = commands.add_parser("overhead")
    overhead.add_argument("--clips-count", type=int, default=152_265)
    overhead.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(f"machine: {machine()}")
    if options.command == "overhead":
        measure_overhead(options.clips_count, options.workers)
        return
    with clip_folder(options.clips) as folder:
        paths = sorted(folder.glob("*.mp4"))[: options.limit]
        if not paths:
            parser.error(f"there is no .mp4 in {folder}: name a folder of clips with --clips")
        if options.command == "plans":
            clips = [probe(path) for path in paths]
            compare_engines(clips, options.rounds)
            if options.full:
                print_full(clips)
            compare_runs(paths, options.rounds)
        elif options.command == "isolation":
            compare_isolation(paths, options.rounds)
        else:
            print_agreement(paths, options.first)


def machine() -> str:
    """Return processor, cores and system."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    model = models[0] if models else platform.processor()
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )


@contextlib.contextmanager
def clip_folder(given: Path | None) -> Iterator[Path]:
    """Yield the given folder, or one with the good synthetic clips of the sample."""
    if given is not None:
        yield given
        return
    from k150k_pipeline.pipelines.sample.nodes import RECIPES, make_clips

    with tempfile.TemporaryDirectory() as folder:
        makers = make_clips(SampleParameters(), VmafParameters())
        for recipe, (name, make) in zip(RECIPES, makers.items(), strict=True):
            if not recipe.cut:
                make(Path(folder, name))
        yield Path(folder)


def compare_engines(clips: list[ClipInfo], rounds: int) -> None:
    """Run every job on each clip in turn, in several rounds; print costs per clip and ratios."""
    native, embedded = (make_engine(VmafParameters(backend=name)) for name in ENGINES)
    jobs: dict[str, Callable[[ClipInfo], object]] = {
        "decode": decode,
        "decode, PyAV": lambda clip: sum(1 for _ in usual_frames(clip)),
        "native": lambda clip: native.score(clip, IDENTITY),
        "embedded": lambda clip: embedded.score(clip, IDENTITY),
    }
    for job in jobs.values():
        job(clips[0])  # what is loaded once is not counted
    costs = {name: np.empty((rounds, len(clips))) for name in jobs}
    for number, (place, clip) in itertools.product(range(rounds), enumerate(clips)):
        for name, job in jobs.items():
            costs[name][number, place] = cost_of(functools.partial(job, clip))
    print(f"clips: {len(clips)}, one after the other, vmaf.threads=1; medians of {rounds} rounds")
    medians = {name: np.median(cost, axis=0) for name, cost in costs.items()}
    for name, median in medians.items():
        print(f"{name:12} {median.mean():8.3f} CPU-s/clip")
    for one, other in (("native", "decode"), ("embedded", "decode"), ("native", "embedded")):
        ratios = medians[one] / medians[other]
        print(
            f"{one} / {other}: mean {ratios.mean():.2f}, {ratios.min():.2f} to {ratios.max():.2f}"
        )
    print_worst(clips, medians["native"] - medians["decode, PyAV"])


def print_full(clips: list[ClipInfo]) -> None:
    """Print what the full plan of the engine ``embedded`` costs per clip, beside its other plan."""
    engine = make_engine(VmafParameters(backend="embedded"))
    identity, full = (
        sum(cost_of(functools.partial(engine.score, clip, plan)) for clip in clips) / len(clips)
        for plan in (IDENTITY, FULL)
    )
    print(f"full, once   {full:8.3f} CPU-s/clip, {full / identity:.1f} times embedded")


def decode(clip: ClipInfo) -> None:
    """Decode a clip with ffmpeg, to nowhere."""
    arguments = decode_arguments(find_ffmpeg(), clip, threads=1)
    target = ["-map", f"0:{clip.stream_index}", "-fps_mode", "passthrough", "-f", "null", "-"]
    if run_tool([*arguments, *target], timeout_s=600).returncode:
        raise RuntimeError(f"cannot decode {clip.path}")


def print_worst(clips: list[ClipInfo], seconds: npt.NDArray[np.float64]) -> None:
    """Print the clip that takes the most seconds of native scoring per frame."""
    frames = [sum(1 for _ in usual_frames(clip)) for clip in clips]
    milliseconds = 1000 * seconds / frames
    worst = int(milliseconds.argmax())
    print(
        f"native scoring, without decoding: mean {milliseconds.mean():.2f} ms/frame, worst "
        f"{milliseconds[worst]:.2f} ({clips[worst].path.name})"
    )


def compare_runs(paths: list[Path], rounds: int) -> None:
    """Extract the clips by ``kedro run`` with either engine in turn; print costs per clip."""
    count = COPIES * len(paths)
    jobs = list(itertools.product(ENGINES, (count, 1)))
    costs = {job: np.empty(rounds) for job in jobs}
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder))
        make_drop(project / "data/01_raw/konvid-150k", paths)
        for number, (backend, limit) in itertools.product(range(rounds), jobs):
            output = f"{backend}{limit}_{number}"
            run = functools.partial(run_extract, project, backend, limit, output)
            costs[backend, limit][number] = cost_of(run)
    each = {}
    for backend in ENGINES:
        whole, start = (float(np.median(costs[backend, limit])) for limit in (count, 1))
        each[backend] = (whole - start) / (count - 1)
        print(
            f"kedro run, {backend:9} {whole:7.1f} CPU-s for {count} clips, {start:.1f} for one: "
            f"{each[backend]:.3f} for each further clip"
        )
    print(f"kedro run, native / embedded: {each['native'] / each['embedded']:.2f} a further clip")


def make_drop(drop: Path, paths: list[Path]) -> None:
    """Make a scores CSV and a folder of copies of clips."""
    clips = drop / "k150ka_extracted"
    clips.mkdir(parents=True)
    names = []
    for copy, path in itertools.product(range(COPIES), paths):
        names.append(f"{copy}_{path.name}")
        shutil.copy(path, clips / names[-1])
    lines = "".join(f"{name},3.0\n" for name in names)
    drop.joinpath("k150ka_scores.csv").write_text(f"video_name,video_score\n{lines}")


def run_extract(project: Path, backend: str, limit: int, output: str) -> None:
    """Extract the first clips of a project's drop in one worker."""
    parameters = {
        "vmaf.backend": backend,
        "extract.workers": 1,
        "extract.limit": limit,
        "extract.verify_clips": 0,
        "extract.max_failure_rate": 1,
        "out": project / f"{output}.parquet",
        "journal": project / output,
    }
    joined = ",".join(f"{name}={value}" for name, value in parameters.items())
    command = [sys.executable, "-m", "kedro", "run", "--pipelines=extract", f"--params={joined}"]
    adopt_orphans()
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def adopt_orphans() -> None:
    """Become the parent of processes whose own parent ends first, so that their time is counted."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def compare_isolation(paths: list[Path], rounds: int) -> None:
    """Probe and score clips in this process and in helpers in turn; print costs and ratios."""
    vmaf, extract = VmafParameters(), ExtractParameters()
    engine = make_engine(vmaf)
    scorer = IsolatedScorer(vmaf, extract.memory_limit_mb, extract.probe_timeout_s)

    def here(some: list[Path]) -> None:
        for path in some:
            aggregate(engine.score(probe(path), IDENTITY).values)

    def there(some: list[Path]) -> None:
        for path in some:
            aggregate(scorer.score(scorer.probe(path), IDENTITY).values)
        own_helper(extract.memory_limit_mb).close()  # its seconds count when it has ended

    first = paths[:1]
    here(first)
    jobs = [
        functools.partial(job, some)
        for job, some in ((here, first), (there, first), (here, paths), (there, first + paths))
    ]
    costs = np.array([[cost_of(job) for job in jobs] for _ in range(rounds)])
    inside, helped = costs[:, 2] / len(paths), (costs[:, 3] - costs[:, 1]) / len(paths)
    ratios = helped / inside
    print(f"clips: {len(paths)}, one after the other, vmaf.threads=1; medians of {rounds} rounds")
    print(f"in this process    {np.median(inside):.3f} CPU-s/clip")
    print(f"in a helper        {np.median(helped):.3f} CPU-s/clip")
    print(f"helper / process:  {np.median(helped) / np.median(inside):.3f}, ", end="")
    print(f"rounds {ratios.min():.3f} to {ratios.max():.3f}")
    start = np.median(costs[:, 1] - costs[:, 0])
    print(f"start of a helper  {start:.3f} CPU-s, once per worker")


def cost_of(job: Callable[[], object]) -> float:
    """Return the CPU seconds that a job takes, finished children included."""
    used = cpu_seconds()
    job()
    return cpu_seconds() - used


def print_agreement(paths: list[Path], first: int | None) -> None:
    """Print, per feature, how much a clip's mean and deviation differ between the two plans."""
    engine = make_engine(VmafParameters(backend="embedded", threads=os.cpu_count() or 1))
    differences = []
    for path in paths:
        clip = probe(path)
        identity, full = (
            aggregate(engine.score(clip, plan, first).values) for plan in (IDENTITY, FULL)
        )
        differences.append(np.abs(np.array(identity) - np.array(full)))
    what = "all frames" if first is None else f"first {first} frames"
    print(f"clips: {len(paths)}, {what}; largest differences, identity plan against full plan")
    print(f"{'':14} mean    deviation")
    means, deviations = np.max(differences, axis=0).reshape(2, len(FEATURES))
    for feature, mean, deviation in zip(FEATURES, means, deviations, strict=True):
        print(f"{feature:14} {mean:.1e} {deviation:.1e}")


def cpu_seconds() -> float:
    """Return user and system seconds of this process and its finished children."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def measure_overhead(count: int, workers: int) -> None:
    """Run the whole pipeline on empty clips with a no-op for scoring, then once more."""
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder))
        make_empty_drop(project / "data/01_raw/konvid-150k", count)
        for title in ("first run", "no-op resume"):
            started = time.perf_counter()
            peak = run_without_scoring(project, workers)
            seconds = time.perf_counter() - started
            synced = fsync_seconds(project) / workers
            print(
                f"{title:12} {seconds:6.1f} s wall, {synced:5.1f} s of it fsyncs of the journal, "
                f"{seconds - synced:5.1f} s without; largest process {peak / 2**20:.2f} GiB"
            )


def make_project(folder: Path) -> Path:
    """Return a project of its own, so that nothing under this checkout's data/ is touched."""
    shutil.copytree(PROJECT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf/local").mkdir()
    shutil.copy(PROJECT / "pyproject.toml", folder)
    shutil.copy(PROJECT / ".telemetry", folder)
    (folder / "src").mkdir()  # Kedro wants the folder; the package itself is installed
    return folder


def make_empty_drop(drop: Path, count: int) -> None:
    """Make a scores CSV and one empty clip file per row."""
    clips = drop / "k150ka_extracted"
    clips.mkdir(parents=True)
    names = [f"orig_{10_000_000_000 + i}_540_5s.mp4" for i in range(count)]
    for name in names:
        os.close(os.open(clips / name, os.O_CREAT | os.O_WRONLY))
    lines = [f"{name},{1 + (i % 21) / 5:.1f}\n" for i, name in enumerate(names)]
    drop.joinpath("k150ka_scores.csv").write_text("video_name,video_score\n" + "".join(lines))


def run_without_scoring(project: Path, workers: int) -> int:
    """Run in a fresh process; return the peak memory of the largest process of the run, KiB."""
    script = Path(__file__).with_name("_no_scoring.py")
    command = [sys.executable, str(script), str(workers)]
    run = subprocess.run(command, cwd=project, check=True, stdout=subprocess.PIPE, text=True)
    return int(run.stdout.split()[-1])


def fsync_seconds(project: Path) -> float:
    """Return how long the workers of the last run waited for the disk, added up."""
    report = json.loads((project / "data/08_reporting/k150ka_report.json").read_text())
    return float(report["fsync_seconds"])


if __name__ == "__main__":
    main()
