"""What ingest costs: downloads against curl and ffprobe, and tables of a whole corpus.

Usage::

    python benchmarks/ingest.py downloads [--clips-count 2000] [--reference-clips N]
    python benchmarks/ingest.py table [--clips-count 152265]

``downloads`` serves clips of about 300 KB on loopback from a process of its own. It prints wall
and CPU seconds of ``kedro run --pipelines=ingest`` end to end, and of the method of the older
script: one curl and then one ffprobe for each clip, without a hash, an fsync or a record.
``table`` ingests a score table with five votes per clip, 94 MB of them for the whole corpus, and
no clips; it prints wall seconds and the peak memory of all processes together.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from extract import PROJECT, machine, make_project

from k150k_pipeline.media.ffmpeg import find_ffmpeg

SERVER = PROJECT / "tests/support/http_server.py"
CORPUS = "data/02_intermediate/konvid_150k.jsonl"
SOURCE = "testsrc2=s=960x540:r=30:d=5,noise=alls=8:allf=t"
CLIP_BITS_PER_S = 470_000
WHOLE_CORPUS, VOTES_BYTES = 152_265, 94_000_000
VOTES_PER_CLIP = 5


@dataclass(frozen=True)
class Cost:
    """What a job took: seconds on the clock, and user and system seconds of its processes."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:7.1f} s wall {self.cpu:7.1f} CPU-s"


def main() -> None:
    """Parse the command line and run one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    downloads = commands.add_parser("downloads")
    downloads.add_argument("--clips-count", type=int, default=2000)
    downloads.add_argument(
        "--reference-clips", type=int, help="clips for curl and ffprobe; the result is extrapolated"
    )
    table = commands.add_parser("table")
    table.add_argument("--clips-count", type=int, default=WHOLE_CORPUS)
    options = parser.parse_args()
    print(f"machine: {machine()}; load before: {os.getloadavg()[0]:.2f}")
    with tempfile.TemporaryDirectory() as folder:
        if options.command == "table":
            measure_table(Path(folder), options.clips_count)
            return
        measured = options.reference_clips or options.clips_count
        compare_downloads(Path(folder), options.clips_count, measured)


def compare_downloads(folder: Path, count: int, measured: int) -> None:
    """Download and probe the same clips both ways; print costs and ratios."""
    if missing := [tool for tool in ("curl", "ffprobe") if shutil.which(tool) is None]:
        sys.exit(
            f"{' and '.join(missing)} not found on PATH; the method of the older script needs them"
        )
    served, drop = folder / "served", folder / "drop"
    names = make_served_clips(served, count)
    project = make_project(folder / "project")
    with serving(served) as base:
        write_manifest(drop, names, base)
        reference = cost_of(lambda: fetch_one_by_one(folder / "one_by_one", names[:measured], base))
        ours = cost_of(lambda: run_ingest(project, drop, "ingest.download.allow_private=true"))
    refuse_other_count(project, count)
    scale = count / measured
    reference = Cost(reference.wall * scale, reference.cpu * scale)
    size = (served / names[0]).stat().st_size
    print(f"{count} clips of {size / 1000:.0f} KB from loopback")
    note = "" if measured == count else f" (extrapolated from {measured} clips)"
    print(f"curl and ffprobe per clip {reference}{note}")
    print(f"kedro run, end to end     {ours}")
    print(f"ratio                     {reference.wall / ours.wall:7.1f}        "
          f"{reference.cpu / ours.cpu:7.1f}")  # fmt: skip


def make_served_clips(folder: Path, count: int) -> list[str]:
    """Encode one clip and link it under ``count`` names."""
    folder.mkdir()
    names = clip_names(count)
    command = [find_ffmpeg(), "-nostdin", "-v", "error", "-f", "lavfi", "-i", SOURCE]
    rate = str(CLIP_BITS_PER_S)
    codec = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-b:v", rate, "-maxrate", rate]
    subprocess.run([*command, *codec, "-bufsize", rate, folder / names[0]], check=True)
    for name in names[1:]:
        os.link(folder / names[0], folder / name)
    return names


def clip_names(count: int) -> list[str]:
    """Return names in the form of K150K."""
    return [f"orig_{10_000_000_000 + i}_540_5s.mp4" for i in range(count)]


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder from a process of its own; yield its address."""
    command = [sys.executable, str(SERVER), str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdin and server.stdout
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


def write_manifest(drop: Path, names: list[str], base: str) -> None:
    """Write a URL manifest."""
    drop.mkdir()
    lines = [f"{name},{base}/{name},{1 + (i % 21) / 5:.1f}\n" for i, name in enumerate(names)]
    (drop / "manifest.csv").write_text("name,url,mos\n" + "".join(lines))


def fetch_one_by_one(folder: Path, names: list[str], base: str) -> None:
    """Fetch like the older script: curl to a part, rename, ffprobe; then the next clip."""
    folder.mkdir()
    fields = "stream=width,height,avg_frame_rate,duration,pix_fmt,codec_name"
    probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", fields]
    for name in names:
        part, target = folder / f"{name}.part", folder / name
        curl = ["curl", "--silent", "--location", "--fail", "-o", str(part), f"{base}/{name}"]
        subprocess.run(curl, check=True)
        part.rename(target)
        subprocess.run([*probe, "-of", "json", str(target)], check=True, stdout=subprocess.DEVNULL)


def run_ingest(project: Path, drop: Path, parameters: str) -> None:
    """Run the pipeline as a user does; print its log when it fails."""
    given = f"drop={drop},ingest.min_rows=1,{parameters}"
    command = [sys.executable, "-m", "kedro", "run", "--pipelines=ingest", "--params", given]
    run = subprocess.run(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if run.returncode:
        sys.exit(f"{run.stdout}\ningest failed with exit status {run.returncode}")


def refuse_other_count(project: Path, count: int) -> None:
    """End the benchmark when the corpus does not have a row for each clip."""
    with (project / CORPUS).open() as file:
        rows = sum(1 for _ in file)
    if rows != count:
        sys.exit(f"ingest made {rows} rows of {count} clips: the measurement is not valid")


def cost_of(job: Callable[[], None]) -> Cost:
    """Return what a job costs that runs in child processes."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    job()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.perf_counter() - started, cpu)


def measure_table(folder: Path, count: int) -> None:
    """Ingest tables without clips; print time and memory."""
    drop, project = folder / "drop", make_project(folder / "project")
    write_tables(drop, count)
    with watching_memory() as peak:
        cost = cost_of(lambda: run_ingest(project, drop, "ingest.probe=none"))
    refuse_other_count(project, count)
    votes = (drop / "k150ka_votes.csv").stat().st_size
    print(f"{count} rows of scores, {votes / 1e6:.0f} MB of votes, no clips")
    print(f"kedro run, end to end {cost}, peak of all processes {max(peak) / 2**30:.2f} GiB")


def write_tables(drop: Path, count: int) -> None:
    """Write scores and votes that agree; the workers' names fill the votes up to their size."""
    drop.mkdir()
    line_bytes = VOTES_BYTES // (WHOLE_CORPUS * VOTES_PER_CLIP)
    with (
        (drop / "k150ka_scores.csv").open("w") as scores,
        (drop / "k150ka_votes.csv").open("w") as votes,
    ):
        scores.write("video_name,video_score\n")
        votes.write("video_name,worker_id,video_score\n")
        for i, name in enumerate(clip_names(count)):
            given = [1 + (i * (k + 3) + k) % 5 for k in range(VOTES_PER_CLIP)]
            scores.write(f"{name},{sum(given) / VOTES_PER_CLIP:.1f}\n")
            for k, vote in enumerate(given):
                worker = f"{(i * VOTES_PER_CLIP + k) % 1513:04d}".rjust(
                    line_bytes - len(name) - 4, "w"
                )
                votes.write(f"{name},{worker},{vote}\n")


@contextlib.contextmanager
def watching_memory(
    measure: Callable[[psutil.Process], int] | None = None,
) -> Iterator[list[int]]:
    """Yield a list that collects the bytes of all descendants, ten times a second.

    Args:
        measure: Returns the bytes of a process; by default those that are resident.
    """
    measure = measure or resident_bytes
    seen, done = [0], threading.Event()

    def watch() -> None:
        this = psutil.Process()
        while not done.wait(0.1):
            seen.append(sum(measure(child) for child in this.children(recursive=True)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def resident_bytes(process: psutil.Process) -> int:
    """Return the resident memory of a process; 0 when it has ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


if __name__ == "__main__":
    main()
