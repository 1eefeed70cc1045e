"""One clip that kills, hangs or eats memory costs its own row, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import threading
from pathlib import Path

import pandas as pd
import psutil
import pytest

from k150k_pipeline.errors import ClipError
from k150k_pipeline.isolation import ClipTask, Helper
from k150k_pipeline.media.probe import probe
from k150k_pipeline.schemas.parameters import LEAST_MEMORY_MB, ExtractParameters, VmafParameters
from k150k_pipeline.vmaf.isolated_scoring import score_clip
from k150k_pipeline.vmaf.plans import IDENTITY
from tests.conftest import KEDRO, encode, run_to_end
from tests.support.evil_ffmpeg import write_evil_ffmpeg, write_evil_ffprobe
from tests.support.journals import journaled
from tests.support.victim import Victim

HEALTHY = 12
LIMITS = "vmaf.clip_timeout_s=20,extract.probe_timeout_s=20,extract.workers=2"
TINY = "testsrc2=s=256x256:r=25:d=0.24"

pytestmark = pytest.mark.serial


@pytest.fixture
def corpus(project, tiny_clips, tmp_path):
    """Return a project of twelve healthy clips, and the ffmpeg that knows what to do to others."""
    project.ffmpeg = write_evil_ffmpeg(tmp_path / "bin/ffmpeg")
    for index in range(HEALTHY):
        source = sorted(tiny_clips.iterdir())[index % 8]
        os.link(source, project.clips / f"{index:02d}.mp4")
    label_all(project)
    return project


def label_all(project) -> None:
    project.write_scores({path.name: 3.0 for path in project.clips.iterdir()})


def add(project, *names: str) -> None:
    for name in names:
        encode(project.clips / name, TINY, "-pix_fmt", "yuv420p")
    label_all(project)


def command(project, params: str = "", evil: bool = True) -> list[str]:
    ffmpeg = f",vmaf.backend=embedded,vmaf.ffmpeg={project.ffmpeg}" if evil else ""
    return [*KEDRO, *project.extract(params=f"{LIMITS}{ffmpeg}{params and f',{params}'}")]


def failures(project) -> dict[str, tuple[str, str]]:
    table = pd.read_csv(project.failures)
    return {row.clip_name: (row.stage, row.reason) for row in table.itertuples()}


def test_one_command_ends_by_itself_with_every_sound_row(corpus):
    add(corpus, "poison.mp4", "killed.mp4", "hanging.mp4", "once.mp4")
    os.mkfifo(corpus.clips / "fifo.mp4")
    label_all(corpus)
    run = Victim.start(command(corpus), corpus.root)
    assert run.process.wait(280) != 0, "a run whose failure rate is 25 % fails"
    assert run.survivors() == []
    assert len(corpus.table()) == HEALTHY + 1, run.output()
    seen = failures(corpus)
    assert seen == {
        "fifo.mp4": ("probe", "not_a_file"),
        "poison.mp4": ("score", "crashed"),
        "killed.mp4": ("score", "killed"),
        "hanging.mp4": ("score", "timeout"),
    }
    assert set(journaled(corpus.journal).values()) == {1}
    assert "Traceback" not in run.output()
    report = json.loads(corpus.report.read_text())
    assert report["counts"]["killed"] == 1 and report["counts"]["failed"] == 4
    (corpus.clips / "fifo.mp4").unlink()
    label_all(corpus)
    status, output = run_to_end(command(corpus, evil=False), corpus.root)
    assert status == 0, output
    assert len(corpus.table()) == HEALTHY + 4


@pytest.mark.thorough
def test_kills_that_persist_end_the_run_non_zero_and_are_no_attempts(corpus):
    add(corpus, "killed.mp4")
    tolerant = "extract.max_failure_rate=1,extract.max_attempts=1"
    for _ in range(2):
        status, output = run_to_end(command(corpus, tolerant), corpus.root)
        assert status != 0 and "1 clips have no row because" in output, output
        assert "Traceback" not in output
        assert len(corpus.table()) == HEALTHY
    table = pd.read_csv(corpus.failures)
    assert table[["reason", "attempts", "given_up"]].values.tolist() == [["killed", 0, False]]
    status, output = run_to_end(command(corpus, tolerant, evil=False), corpus.root)
    assert status == 0 and len(corpus.table()) == HEALTHY + 1, output


@pytest.mark.thorough
def test_kill_that_does_not_come_again_costs_nothing(corpus):
    add(corpus, "once.mp4")
    status, output = run_to_end(command(corpus), corpus.root)
    assert status == 0 and "once.mp4 is tried again" in output, output
    assert len(corpus.table()) == HEALTHY + 1
    assert json.loads(corpus.report.read_text())["counts"]["failed"] == 0


@pytest.mark.thorough
def test_workers_open_no_clip(corpus):
    """PyAV and its libraries are loaded in helpers alone."""
    add(corpus, "hanging.mp4")
    run = Victim.start(command(corpus), corpus.root)
    # Then the other worker has done every other clip, and nothing comes and goes any more.
    assert run.reaches(lambda: journaled(corpus.journal).total() == HEALTHY)
    assert run.reaches(lambda: any(at_work_on(run, "hanging")))
    lines = command_lines(run)
    loaded = {pid for pid in lines if "libavcodec" in Path(f"/proc/{pid}/maps").read_text()}
    run.kill()
    assert run.survivors() == []
    assert loaded == {pid for pid, line in lines.items() if "isolation.child" in line}
    assert len(loaded) == 2 and len(lines) >= 6, "the run, its manager, workers and helpers"


def command_lines(run: Victim) -> dict[int, str]:
    """Return the command line of each process of a run."""
    lines = {}
    for process in run.family():
        with contextlib.suppress(psutil.Error):
            lines[process.pid] = " ".join(process.cmdline())
    return lines


def at_work_on(run: Victim, clip: str) -> list[psutil.Process]:
    """Return the workers that wait for a hanging tool on a clip."""
    workers = []
    for process in run.family():
        with contextlib.suppress(psutil.Error):
            if process.name() == "sleep" and clip in process.environ().get("CLIP", ""):
                helper = process.parent()
                workers += [helper.parent()] if helper and helper.parent() else []
    return workers


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("number", "reason", "attempts"),
    [
        (signal.SIGKILL, "killed", 0),
        (signal.SIGSEGV, "crashed", 1),
    ],
)
def test_dead_worker_costs_the_clip_that_it_was_at(corpus, number, reason, attempts):
    add(corpus, "hanging.mp4", "hanging_too.mp4")
    run = Victim.start(command(corpus), corpus.root)
    assert run.reaches(lambda: any(at_work_on(run, "hanging.mp4")))
    (worker,) = at_work_on(run, "hanging.mp4")
    worker.send_signal(number)
    assert run.process.wait(280) != 0, "the failure rate is above 5 %"
    assert "A new worker goes on with node extract.score.shard_" in run.output()
    assert "Traceback" not in run.output(), run.output()
    assert run.survivors() == []
    assert failures(corpus) == {
        "hanging.mp4": ("worker", reason),
        "hanging_too.mp4": ("score", "timeout"),
    }
    table = pd.read_csv(corpus.failures).set_index("clip_name").loc["hanging.mp4"]
    assert table["attempts"] == attempts and number.name in table["detail"]
    assert len(corpus.table()) == HEALTHY
    assert set(journaled(corpus.journal).values()) == {1}
    counts = json.loads(corpus.report.read_text())["counts"]
    assert (counts["newly_finished"], counts["failed"]) == (HEALTHY, 2)
    assert counts["killed"] == (reason == "killed")
    status, output = run_to_end(command(corpus, evil=False), corpus.root)
    assert status == 0 and len(corpus.table()) == HEALTHY + 2, output


@pytest.mark.thorough
def test_worker_that_dies_again_and_again_ends_the_run_with_its_reason(corpus):
    names = [f"hanging_{number}.mp4" for number in range(6)]
    add(corpus, *names)
    one_worker = "extract.workers=1,extract.shards=1,vmaf.clip_timeout_s=200"
    run = Victim.start(command(corpus, one_worker), corpus.root)
    for name in names[:5]:
        assert run.reaches(lambda name=name: any(at_work_on(run, name))), run.output()
        at_work_on(run, name)[0].kill()
    assert run.process.wait(280) != 0
    assert "a worker process died 5 times at node extract.score.shard_0000" in run.output()
    assert "Traceback" not in run.output()
    assert run.survivors() == []
    status, output = run_to_end(command(corpus, evil=False), corpus.root)
    assert status == 0 and len(corpus.table()) == HEALTHY + 6, output


class Watcher(threading.Thread):
    """Notes the most memory that each kind of process of a run was seen with, in MiB."""

    def __init__(self, run: Victim) -> None:
        super().__init__()
        self._run = run
        self.most: dict[str, int] = {}

    def run(self) -> None:
        while not self._run.ended():
            for process in self._run.family():
                self._look(process)

    def _look(self, process: psutil.Process) -> None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            name = process.name()
        except (psutil.Error, OSError):
            return
        for field in ("VmData", "VmHWM"):
            if match := re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE):
                key = f"{name} {field}"
                self.most[key] = max(self.most.get(key, 0), int(match[1]) // 1024)


@pytest.mark.thorough
def test_no_process_takes_more_memory_than_it_may(corpus):
    huge = corpus.clips / "huge.mp4"
    encode(huge, "color=red:s=15000x15000:r=25:d=0.08", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p")
    label_all(corpus)
    run = Victim.start(command(corpus, "extract.max_failure_rate=1", evil=False), corpus.root)
    watcher = Watcher(run)
    watcher.start()
    assert run.process.wait(280) == 0, run.output()
    watcher.join()
    # libvmaf does not always report what it lacked.
    assert failures(corpus)["huge.mp4"][1] in {"memory", "libvmaf"}
    assert len(corpus.table()) == HEALTHY
    limit = ExtractParameters().memory_limit_mb
    assert max(watcher.most.values()) <= limit, watcher.most
    tools = [most for key, most in watcher.most.items() if key.startswith("ffmpeg")]
    assert max(tools) > limit // 3, "the tool that ran out of memory was not seen"


def test_helper_itself_runs_out_of_memory(make_clip):
    """PyAV decodes the first frame, so that the helper has to have room for it."""
    path = make_clip(
        *("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"), source="color=red:s=15000x15000:r=25:d=0.04"
    )
    sound = make_clip(name="sound.mp4")
    with Helper(LEAST_MEMORY_MB) as helper:
        with pytest.raises(ClipError) as caught:
            helper.call(ClipTask("probe", path, 100.0), probe, path)
        assert (caught.value.reason, str(path) in caught.value.detail) == ("memory", True)
        clip = helper.call(ClipTask("probe", sound, 100.0), probe, sound)
        task = ClipTask("score", sound, 100.0)
        assert helper.call(task, score_clip, VmafParameters(), clip, IDENTITY, None).frames == 9


@pytest.mark.thorough
def test_ingest_of_evil_clips(project, tmp_path):
    names = ["sound.mp4", "poison.mp4", "killed.mp4", "hanging.mp4"]
    for name in names:
        encode(project.clips / name, TINY, "-pix_fmt", "yuv420p")
    label_all(project)
    ffprobe = write_evil_ffprobe(tmp_path / "bin/ffprobe")
    params = f"ingest.min_rows=1,ingest.probe=ffprobe,ingest.ffprobe={ffprobe}"
    limits = "ingest.probe_timeout_s=20,ingest.workers=2"
    arguments = ["run", "--pipelines=ingest", f"--params={params},{limits}"]
    status, output = run_to_end([*KEDRO, *arguments], project.root)
    assert status != 0 and "1 clips have no row because" in output, output
    assert "Traceback" not in output
    data = project.root / "data"
    rows = (data / "02_intermediate/konvid_150k.jsonl").read_text().splitlines()
    assert [json.loads(row)["src"] for row in rows] == ["sound.mp4"]
    project.failures = data / "08_reporting/konvid_150k_ingest_failures.csv"
    assert failures(project) == {
        "poison.mp4": ("probe", "crashed"),
        "killed.mp4": ("probe", "killed"),
        "hanging.mp4": ("probe", "timeout"),
    }
    assert (data / "02_intermediate/konvid_150k.jsonl.manifest.json").exists()


def test_sweep_of_evil_clips(project, tmp_path):
    data = project.root / "data"
    corpus = data / "02_intermediate/konvid_150k.jsonl"
    corpus.parent.mkdir(parents=True)
    with corpus.open("w") as file:
        for name in ("poison.mp4", "killed.mp4", "sound.mp4"):
            encode(project.clips / name, TINY, "-pix_fmt", "yuv420p")
            file.write(json.dumps({"src": name, "mos": 3.0}) + "\n")
    ffmpeg = write_evil_ffmpeg(tmp_path / "bin/ffmpeg")
    params = f"vmaf.ffmpeg={ffmpeg},fr_from_nr.preset=ultrafast,fr_from_nr.max_failure_rate=1"
    output = project.kedro("run", "--pipelines=fr_from_nr", f"--params={params}", ok=False)
    assert "1 clips have no row because" in output and "Traceback" not in output
    rows = (data / "05_model_input/k150k_fr_corpus.jsonl").read_text().splitlines()
    assert [json.loads(row)["src"] for row in rows] == ["sound.mp4"] * 5
    project.failures = data / "08_reporting/k150k_fr_failures.csv"
    assert failures(project) == {
        "poison.mp4": ("score", "crashed"),
        "killed.mp4": ("score", "killed"),
    }
