"""Two runs on one project, and a project that changes while a run is at it or between two runs."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator

import pandas as pd
import pytest

from tests.conftest import KEDRO, Project, copy_project
from tests.support.binaries import write_script
from tests.support.ledger import Case
from tests.support.storms import HELD, Job, held_tools
from tests.support.victim import Victim
from tests.support.waiting import HANG_GUARD_S

KIND = "two at once"
STATUS_CALLS = 10

Situation = Callable[[Job, Case, bytes], None]


@contextlib.contextmanager
def holding(job: Job, arguments: list[str] | None = None, done: int = 0) -> Iterator[Victim]:
    """Start a run and wait until it is at the held clip; kill it if it lives at the end."""
    run = Victim.fork(arguments or job.arguments(), job.project.root)
    try:
        ready = run.reaches(lambda: job.is_held(run) and len(list(job.lines())) >= done)
        assert ready, f"ended before it was at the held clip: {run.output()}"
        yield run
    finally:
        run.kill()


def let_end(job: Job, run: Victim, case: Case) -> str:
    """Release the held clip and wait for the end of a run."""
    job.release()
    for tool in held_tools(run):
        tool.kill()
    assert run.process.wait(HANG_GUARD_S) == 0, run.output()
    assert run.survivors() == []
    case.read(run.output())
    return run.output()


def refused(output: str, case: Case) -> None:
    """Check that a run was refused in one sentence because another is at the output."""
    case.read(output)
    errors = [line for line in output.splitlines() if "Error: " in line]
    assert len(errors) == 1 and "another run is working on this output: process" in errors[0]


def all_there(job: Job, case: Case, expected: bytes) -> None:
    """Check that each clip has one row, and that the output is that of an undisturbed run."""
    case.clips(job.names, [r["clip"] for r in job.lines() if r["status"] == "ok"])
    assert job.result() == expected


def second_run_is_refused(job: Job, case: Case, expected: bytes) -> None:
    with holding(job) as run:
        refused(job.project.kedro(*job.arguments(), ok=False), case)
        let_end(job, run, case)
    all_there(job, case, expected)


def second_checkout_by_links_is_refused(job: Job, case: Case, expected: bytes) -> None:
    root = job.project.root.with_name("second")
    root.mkdir()
    copy_project(root)
    (root / "data").symlink_to(job.project.root / "data")
    second = Project.__new__(Project)
    second.root = root
    by_link = [*job.arguments()[:-1], job.arguments()[-1] + f",out={root}/out.parquet"]
    (root / "out.parquet").symlink_to(job.output)
    with holding(job) as run:
        refused(second.kedro(*job.arguments(), ok=False), case)
        refused(second.kedro(*by_link, ok=False), case)
        let_end(job, run, case)
    all_there(job, case, expected)


def status_is_polled(job: Job, case: Case, expected: bytes) -> None:
    with holding(job) as run:
        for _ in range(STATUS_CALLS):
            output = job.project.kedro("extract-status")
            case.read(output)
            assert f"running: process {run.pid}" in output, output
        let_end(job, run, case)
    assert "not running" in job.project.kedro("extract-status")
    all_there(job, case, expected)


def three_pipelines_on_one_project(job: Job, case: Case, expected: bytes) -> None:
    project = job.project
    others = {
        "ingest": ["run", "--pipelines=ingest", "--params=ingest.min_rows=1"],
        "fr_from_nr": [
            "run",
            "--pipelines=fr_from_nr",
            "--params=fr_from_nr.preset=ultrafast,fr_from_nr.shards=2,fr_from_nr.workers=1",
        ],
    }
    project.kedro(*others["ingest"])
    corpus = project.root / "data/02_intermediate/konvid_150k.jsonl"
    rows = corpus.read_text()
    with holding(job) as run:
        beside = [Victim.fork(arguments, project.root) for arguments in others.values()]
        for other in beside:
            assert other.process.wait(HANG_GUARD_S) == 0, other.output()
            case.read(other.output())
        let_end(job, run, case)
    all_there(job, case, expected)
    assert corpus.read_text() == rows
    encodes = (project.root / "data/05_model_input/k150k_fr_corpus.jsonl").read_text()
    found = [json.loads(line)["src"] for line in encodes.splitlines()]
    assert sorted(found) == sorted(name for name in job.names for _ in range(5))


def other_workers_and_shards_on_resume(job: Job, case: Case, expected: bytes) -> None:
    for workers, shards in ((2, 3), (1, 7), (3, 1)):
        with holding(job, job.arguments(workers, shards)) as run:
            run.kill()
            assert run.survivors() == []
            case.read(run.output())
    job.release()
    case.read(job.project.kedro(*job.arguments(workers=2, shards=5)))
    all_there(job, case, expected)


def write_newer_engine(job: Job) -> str:
    """Write an ffmpeg that is the same one under a newer version; return the parameter."""
    real = shlex.quote(str(job.ffmpeg))
    script = (
        f'case "$*" in -version) {real} -version | sed "s/ffmpeg version [^ ]*/ffmpeg version '
        f'n99/";; *) exec {real} "$@";; esac'
    )
    return f"vmaf.ffmpeg={write_script(job.project.root / 'bin/newer', script)}"


def engine_upgraded(job: Job, case: Case, expected: bytes) -> None:
    """The table is the same but for its metadata, which name the engine."""
    rows = pd.read_parquet(io.BytesIO(expected))
    with holding(job, job.arguments(), done=3) as run:
        run.kill()
    newer = write_newer_engine(job)
    job.release()
    before = sorted((path, path.read_bytes()) for path in job.journal.glob("shard-*"))
    output = job.project.kedro(*job.arguments(params=newer), ok=False)
    case.read(output)
    assert "has rows that this run would not produce" in output and "n99" in output
    assert sorted((p, p.read_bytes()) for p in job.journal.glob("shard-*")) == before
    assert not job.output.exists()
    mix = f"{newer},extract.on_engine_change=mix"
    case.read(job.project.kedro(*job.arguments(params=mix)))
    case.clips(job.names, [r["clip"] for r in job.lines() if r["status"] == "ok"])
    pd.testing.assert_frame_equal(job.project.table(), rows)
    rescore = f"{newer},extract.on_engine_change=rescore"
    case.read(job.project.kedro(*job.arguments(params=rescore)))
    pd.testing.assert_frame_equal(job.project.table(), rows)
    lines = [r["clip"] for r in job.lines() if r["status"] == "ok"]
    again = Counter(lines) - Counter(job.names)
    assert set(again.values()) == {1} and 3 <= len(again) < len(job.names), lines


def clip_deleted_and_added_between_runs(job: Job, case: Case, expected: bytes) -> None:
    job.run()
    gone, new = job.project.clips / job.names[0], job.project.clips / "new.mp4"
    gone.unlink()
    case.read(job.run())
    assert job.result() == expected, "a row stays when its clip is gone"
    shutil.copy(job.project.clips / job.names[1], new)
    job.project.write_scores(dict.fromkeys([*job.names, new.name], 3.0))
    case.read(job.run())
    table = job.project.table()
    assert sorted(table["clip_name"]) == sorted([*job.names, new.name])
    new.unlink()
    job.project.write_scores(dict.fromkeys(job.names, 3.0))
    case.read(job.run())
    assert job.result() == expected


def clip_deleted_while_it_is_scored(job: Job, case: Case, expected: bytes) -> None:
    clip = job.project.clips / f"{HELD}.mp4"
    kept = clip.rename(job.project.root / clip.name) if clip.exists() else clip
    shutil.copy(kept, clip)
    with holding(job) as run:
        clip.unlink()
        let_end(job, run, case)
    failures = pd.read_csv(job.failures)
    assert failures[["clip_name", "stage", "reason"]].values.tolist() == [
        [clip.name, "probe", "missing"]
    ]
    shutil.copy(kept, clip)
    case.read(job.run())
    all_there(job, case, expected)


def output_folder_renamed(job: Job, case: Case, expected: bytes) -> None:
    folder = job.output.parent
    with holding(job) as run:
        folder.rename(folder.with_name("renamed"))
        let_end(job, run, case)
    all_there(job, case, expected)


def output_folder_removed(job: Job, case: Case, expected: bytes) -> None:
    with holding(job) as run:
        shutil.rmtree(job.output.parent)
        shutil.rmtree(job.failures.parent, ignore_errors=True)
        let_end(job, run, case)
    all_there(job, case, expected)


def journal_removed(job: Job, case: Case, expected: bytes) -> None:
    """What finished clips are lost with it is up to who removed it; the run must not write less."""
    with holding(job, done=3) as run:
        shutil.rmtree(job.journal)
        job.release()
        for tool in held_tools(run):
            tool.kill()
        assert run.process.wait(HANG_GUARD_S) == 1, run.output()
        case.read(run.output())
        assert run.output().count("Error: ") == 1, run.output()
    assert not job.output.exists()
    case.read(job.run())
    all_there(job, case, expected)


def other_host_and_process_numbers(job: Job, case: Case, expected: bytes) -> None:
    """A container has process numbers of its own, and another name."""
    alone = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--uts", "--mount-proc"]
    script = 'hostname elsewhere; exec "$@"'
    command = [*alone, "sh", "-c", script, "sh", *KEDRO, *job.arguments()]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("namespaces are not permitted here")
    with holding(job) as run:
        inside = subprocess.run(command, cwd=job.project.root, capture_output=True, text=True)
        assert inside.returncode == 1
        refused(inside.stdout + inside.stderr, case)
        let_end(job, run, case)
    all_there(job, case, expected)
    job.hold()
    inside = Victim.start(command, job.project.root)
    try:
        assert inside.reaches(lambda: job.is_held(inside)), inside.output()
        refused(job.project.kedro(*job.arguments(), ok=False), case)
        let_end(job, inside, case)
    finally:
        inside.kill()
    all_there(job, case, expected)


SITUATIONS: list[Situation] = [
    second_run_is_refused,
    clip_deleted_while_it_is_scored,
    second_checkout_by_links_is_refused,
    status_is_polled,
    three_pipelines_on_one_project,
    other_workers_and_shards_on_resume,
    engine_upgraded,
    clip_deleted_and_added_between_runs,
    output_folder_renamed,
    output_folder_removed,
    journal_removed,
    other_host_and_process_numbers,
]
SAMPLE = (second_run_is_refused,)


@pytest.mark.parametrize(
    "situation",
    [
        pytest.param(
            situation,
            id=situation.__name__.replace("_", " "),
            marks=() if situation in SAMPLE else pytest.mark.thorough,
        )
        for situation in SITUATIONS
    ],
)
def test_two_at_once(project, ledger, situation):
    job = Job(project, "extract")
    job.run()
    expected = job.result()
    job.hold()
    with ledger.case(KIND, situation.__name__) as case:
        situation(job, case, expected)
