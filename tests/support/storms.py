"""Runs of three pipelines that signals hit while a clip is held, and their processes by role."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from k150k_pipeline.media.ffmpeg import find_ffmpeg
from tests.conftest import Project, encode
from tests.fr_from_nr.conftest import numbers
from tests.support.binaries import write_script
from tests.support.victim import Victim

HELD = "held"
"""Names of clips on which ffmpeg takes long begin with this, until they are released."""

TARGETS = ("parent", "group", "everyone", "worker", "helper", "tool", "manager")
"""Everyone: what a service manager signals, which is also the helpers and tools of other groups."""

STORMS: dict[str, tuple[signal.Signals, ...]] = {
    "SIGKILL": (signal.SIGKILL,),
    "SIGTERM": (signal.SIGTERM,),
    "SIGINT": (signal.SIGINT,),
    "SIGINT twice": (signal.SIGINT, signal.SIGINT),
    "SIGHUP": (signal.SIGHUP,),
    "SIGQUIT": (signal.SIGQUIT,),
}
_FFMPEG = os.path.realpath(find_ffmpeg())
_TINY = "testsrc2=s=256x256:r=25:d=0.24"
_LONG = "testsrc2=s=256x256:r=10:d=10"
"""ffmpeg sleeps before packet n for n tenths of a second: in all for 500 seconds."""


class Job:
    """One pipeline on a corpus of tiny clips, one of which is held.

    Args:
        project: Project of its own.
        kind: ``extract``, ``ingest`` or ``fr_from_nr``.
        clips: Number of clips.
    """

    def __init__(self, project: Project, kind: str, clips: int = 6) -> None:
        self.project, self.kind = project, kind
        self.names = [f"{index:02d}.mp4" for index in range(clips - 1)] + [f"{HELD}.mp4"]
        self._released = project.root / "released"
        self._begun = project.root / "begun"
        self._data = project.root / "data"
        self.ffmpeg = self._write_ffmpeg()
        for index, name in enumerate(self.names):
            source = f"{_LONG if name.startswith(HELD) else _TINY},hue=h={index * 30}"
            encode(project.clips / name, source, "-pix_fmt", "yuv420p")
        project.write_scores(dict.fromkeys(self.names, 3.0))
        corpus = self._data / "02_intermediate/konvid_150k.jsonl"
        if kind == "fr_from_nr":
            corpus.parent.mkdir(parents=True)
            lines = (json.dumps({"src": name, "mos": 3.0}) + "\n" for name in self.names)
            corpus.write_text("".join(lines))

    def _write_ffmpeg(self) -> Path:
        """Write an ffmpeg that reads held clips at a thousandth of their speed."""
        real, released, begun = (
            shlex.quote(str(path)) for path in (_FFMPEG, self._released, self._begun)
        )
        slow = "-readrate 0.001 -readrate_initial_burst 0.001"
        script = (
            f'case "$*" in *{HELD}*) test -e {released} || '
            f'{{ touch {begun}; exec {real} {slow} "$@"; }};; esac\n'
            f'exec {real} "$@"'
        )
        return write_script(self.project.root / "bin/ffmpeg", script)

    @property
    def journal(self) -> Path:
        name = {"extract": "k150ka", "ingest": "konvid_150k_ingest", "fr_from_nr": "k150k_fr"}
        return self._data / f"02_intermediate/{name[self.kind]}_journal"

    @property
    def output(self) -> Path:
        return {
            "extract": self.project.features,
            "ingest": self._data / "02_intermediate/konvid_150k.jsonl",
            "fr_from_nr": self._data / "05_model_input/k150k_fr_corpus.jsonl",
        }[self.kind]

    @property
    def failures(self) -> Path:
        name = {"extract": "k150ka", "ingest": "konvid_150k_ingest", "fr_from_nr": "k150k_fr"}
        return self._data / f"08_reporting/{name[self.kind]}_failures.csv"

    def arguments(self, workers: int = 2, shards: int = 3, params: str = "") -> list[str]:
        """Return the arguments of a run."""
        own = {
            "extract": (
                f"vmaf.backend=embedded,vmaf.ffmpeg={self.ffmpeg},extract.verify_clips=0"
                ",extract.max_failure_rate=1"
            ),
            "ingest": "ingest.min_rows=1,ingest.integrity=decode",
            "fr_from_nr": (
                f"vmaf.ffmpeg={self.ffmpeg},fr_from_nr.preset=ultrafast"
                ",fr_from_nr.max_failure_rate=1"
            ),
        }[self.kind]
        sizes = f"{self.kind}.workers={workers},{self.kind}.shards={shards}"
        joined = ",".join(filter(None, (own, sizes, params)))
        return ["run", f"--pipelines={self.kind}", f"--params={joined}"]

    def run(self) -> str:
        """Run to the end, in one process, with every clip released."""
        self.release()
        return self.project.kedro(*self.arguments())

    def result(self) -> Any:
        """Return the output, without what differs from run to run."""
        if self.kind == "extract":
            return self.output.read_bytes()
        rows = [json.loads(line) for line in self.output.read_text().splitlines()]
        if self.kind == "fr_from_nr":
            return numbers(rows)
        return [{k: v for k, v in row.items() if k != "ingested_at_utc"} for row in rows]

    def hold(self) -> None:
        """Forget what runs have made, and hold the clip."""
        for note in (self._released, self._begun):
            note.unlink(missing_ok=True)
        for path in (self.journal, self.output, self.failures, self.output.with_suffix(".done")):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def is_held(self, run: Victim) -> bool:
        """Return whether a run is at the held clip."""
        return self._begun.exists() and bool(held_tools(run))

    def release(self) -> None:
        """Let tools that start from now on take no longer than they need."""
        self._released.touch()

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the records of the journal."""
        for path in self.journal.glob("shard-*"):
            for line in path.read_text().splitlines(keepends=True)[1:]:
                if line.endswith("\n"):
                    yield json.loads(line)


def held_tools(run: Victim) -> list[psutil.Process]:
    """Return the ffmpegs of a run that are at the held clip."""
    found, family = [], []
    with contextlib.suppress(psutil.Error):
        family = psutil.Process(run.pid).children(recursive=True)
    for process in family:
        with contextlib.suppress(psutil.Error):
            held = any(f"{HELD}.mp4" in part for part in process.cmdline())
            if held and process.exe() == _FFMPEG:
                found.append(process)
    return found


def end_held(victim: Victim, target: str) -> None:
    """Kill the tool at the held clip, which is then done again at full speed.

    It may have ended if the signal was for it: ffmpeg takes a Ctrl-C once it has begun.
    """
    tools = held_tools(victim)
    assert len(tools) == 1 or target == "tool"
    for tool in tools:
        with contextlib.suppress(psutil.NoSuchProcess):
            tool.kill()


def send(run: Victim, target: str, storm: Sequence[int]) -> None:
    """Send signals to one kind of process of a run whose tool is at the held clip."""
    everyone = target == "everyone"
    targets = run.family() if everyone else [] if target == "group" else [find(run, target)]
    for number in storm:
        if target == "group":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, number)
        for process in targets:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def find(run: Victim, target: str) -> psutil.Process:
    """Return the process that a target names; worker and helper are those of the held clip."""
    parent = psutil.Process(run.pid)
    (tool,) = held_tools(run)
    helper = tool.parent()
    assert helper is not None
    worker = helper.parent()
    assert worker is not None and worker.ppid() == run.pid
    if target == "manager":
        (manager,) = (p for p in parent.children() if p.cmdline() == parent.cmdline())
        return manager
    return {"parent": parent, "worker": worker, "helper": helper, "tool": tool}[target]


def check_journal(job: Job) -> None:
    """Check that each clip has one line at most, and that no signal is counted as an attempt."""
    records = list(job.lines())
    assert max(Counter(r["clip"] for r in records).values(), default=0) <= 1, records
    failed = [r for r in records if r["status"] == "failed"]
    assert all(r["reason"] == "killed" for r in failed), failed
    if job.failures.exists():
        assert set(pd.read_csv(job.failures)["attempts"]) <= {0}
