"""Hundreds of damaged clips in one run: each is a failure with a reason, or its row is right."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from k150k_pipeline.media.ffmpeg import find_ffmpeg
from k150k_pipeline.vmaf.verify import PRINTED_DIGIT
from tests.conftest import CHECKOUT, Project
from tests.support.ledger import Ledger
from tests.support.mutations import FRAMES, make_sound, mutant
from tests.support.victim import Victim
from tests.support.waiting import HANG_GUARD_S

MUTANTS = 330
SAMPLE = 24
LIMITS = "vmaf.clip_timeout_s=60"
_REASON = re.compile(r"`(\w+)`")

pytestmark = pytest.mark.serial


@dataclass(frozen=True)
class Damaged:
    """A damaged file and the sound clip that it was made from."""

    base: str
    title: str


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> dict[str, bytes]:
    return make_sound(tmp_path_factory.mktemp("mutations") / "sound")


@pytest.fixture(scope="module")
def originals(sound, tmp_path_factory) -> dict[str, list[str]]:
    """Return the pictures of each sound clip."""
    found, path = {}, tmp_path_factory.mktemp("originals") / "sound.mp4"
    for name, content in sound.items():
        path.write_bytes(content)
        found[name], problem = pictures(path)
        assert len(found[name]) == FRAMES and not problem
    return found


@pytest.fixture
def mutants(project, sound, ledger) -> dict[str, Damaged]:
    """Put damaged clips into a drop; return them by name."""
    made = {}
    for number in range(MUTANTS if ledger.full else SAMPLE):
        base, title, body = mutant(sound, number)
        name = f"mutant_{number:04d}.mp4"
        (project.clips / name).write_bytes(body)
        made[name] = Damaged(base, title)
    label_all(project)
    return made


def label_all(project: Project) -> None:
    project.write_scores({path.name: 3.0 for path in project.clips.iterdir()})


def run(project: Project, arguments: list[str], ledger: Ledger) -> str:
    """Run to the end: in the full run with workers, of which none may die."""
    if not ledger.full:
        return project.kedro(*arguments)
    victim = Victim.fork(arguments, project.root)
    try:
        victim.process.wait(HANG_GUARD_S * 2)
        assert victim.survivors() == []
    finally:
        victim.kill()
    output = victim.output()
    assert "A new worker goes on" not in output and "Error: " not in output, output
    return output


def records(journal: Path) -> dict[str, dict[str, Any]]:
    """Return the one record of each clip."""
    lines = [
        json.loads(line)
        for path in journal.glob("shard-*")
        for line in path.read_text().splitlines()[1:]
    ]
    found = {line["clip"]: line for line in lines}
    assert len(found) == len(lines), "a clip has two lines"
    return found


@pytest.fixture(scope="module")
def reasons() -> set[str]:
    """Return the reasons that docs/files.md lists, as stage/reason; some occur in every stage."""
    text = (CHECKOUT / "docs/files.md").read_text()
    section = text[text.index("### Stages and reasons") : text.index("### What is opened")]
    known = set()
    for row in (line for line in section.splitlines() if line.startswith("| `")):
        first, second = row.split("|")[1:3]
        if of_stage := _REASON.findall(second):
            known |= {f"{_REASON.findall(first)[0]}/{reason}" for reason in of_stage}
        else:
            known |= {
                f"{stage}/{r}"
                for stage in ("probe", "decode", "score")
                for r in _REASON.findall(first)
            }
    return known


def pictures(path: Path, *options: str) -> tuple[list[str], str]:
    """Return the hash of each picture that ffmpeg decodes, and why it does not decode them all."""
    command = [
        find_ffmpeg(), "-nostdin", "-v", "error", "-xerror", "-err_detect", "explode",
        "-noautorotate", *options, "-i", str(path), "-map", "0:V:0", "-vf", "settb=1/25,setpts=N",
        "-fps_mode", "passthrough", "-f", "framehash", "-",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_GUARD_S)
    hashes = [
        line.rpartition(",")[2].strip()
        for line in done.stdout.splitlines()
        if line and not line.startswith("#")
    ]
    status = f"exit status {done.returncode} " if done.returncode else ""
    return hashes, f"{status}{done.stderr.strip()[:300]}"


def check_failure(record: Mapping[str, Any], reasons: set[str]) -> None:
    """Check that a failure has a stage and a reason that are documented."""
    assert f"{record['stage']}/{record['reason']}" in reasons, record


def check_row(path: Path, frames: int | None, doubt: str, original: list[str]) -> bool:
    """Check that the clip of a row decodes without an error, to as many pictures as were scored.

    A clip that still has all pictures of the sound one may have damage elsewhere.

    Returns:
        Whether the pictures are those of the sound clip.
    """
    hashes, problem = pictures(path)
    if frames is not None:
        assert len(hashes) == frames, f"{frames} frames in the row, {len(hashes)} decoded"
    if hashes != original and not doubt:
        assert not problem, f"a row, but ffmpeg reports: {problem}"
        shown = len(hashes)
        if shown < FRAMES:  # an edit list that was damaged may hide some
            shown = len(pictures(path, "-ignore_editlist", "1")[0])
        assert shown >= FRAMES, f"a row of {len(hashes)} of {FRAMES} frames, without a doubt"
    return hashes == original


def test_extract(project, mutants, sound, originals, ledger, reasons):
    for name, content in sound.items() if ledger.full else ():
        (project.clips / sound_name(name)).write_bytes(content)
    label_all(project)
    arguments = project.extract(params=f"{LIMITS},extract.max_failure_rate=1,extract.workers=2")
    output = run(project, arguments, ledger)
    found = records(project.journal)
    doubtful = json.loads(project.report.read_text())["completeness_unknown"]
    table = project.table().set_index("clip_name").drop(columns=["mos"])
    for name, damaged in mutants.items():
        with ledger.case("mutated clips: extract", f"{name} ({damaged})") as case:
            case.clips([name], [name] * (name in found))
            record = found[name]
            if record["status"] == "failed":
                check_failure(record, reasons)
                assert name not in table.index
                continue
            doubt = record["payload"].get("doubt", "")
            assert bool(doubt) == (name in doubtful)
            path, frames = project.clips / name, record["payload"]["frames"]
            same = check_row(path, frames, doubt, originals[damaged.base])
            if same and ledger.full:
                # The native engine leaves a clip with a warning to the embedded one.
                theirs = table.loc[[name, sound_name(damaged.base)]].to_numpy(float)
                np.testing.assert_allclose(*theirs, rtol=0, atol=2 * PRINTED_DIGIT)
    assert "Traceback" not in output
    assert {record["status"] for record in found.values()} == {"ok", "failed"}


@pytest.mark.shared
@pytest.mark.thorough
def test_malformed(project, shared, ledger, reasons):
    """The broken clips beside the checkout, whose reasons tests/media/test_malformed.py has."""
    for path in (shared / "malformed").glob("*.mp4"):
        shutil.copy(path, project.clips)
    label_all(project)
    arguments = project.extract(params=f"{LIMITS},extract.max_failure_rate=1")
    output = run(project, arguments, ledger)
    found = records(project.journal)
    for path in sorted(project.clips.iterdir()):
        with ledger.case("mutated clips: extract", path.name) as case:
            case.read(output)
            case.clips([path.name], [path.name] * (path.name in found))
            if found[path.name]["status"] == "failed":
                check_failure(found[path.name], reasons)
                continue
            hashes, problem = pictures(path)
            assert not problem and len(hashes) == found[path.name]["payload"]["frames"]


def sound_name(base: str) -> str:
    return f"sound_{base.replace('.', '_')}.mp4"


def test_ingest(project, mutants, originals, ledger, reasons):
    params = "ingest.min_rows=1,ingest.integrity=decode,ingest.workers=2"
    output = run(project, ["run", "--pipelines=ingest", f"--params={params}"], ledger)
    data = project.root / "data"
    found = records(data / "02_intermediate/konvid_150k_ingest_journal")
    lines = (data / "02_intermediate/konvid_150k.jsonl").read_text().splitlines()
    rows = {json.loads(line)["src"] for line in lines}
    report = json.loads((data / "08_reporting/konvid_150k_ingest_report.json").read_text())
    for name, damaged in mutants.items():
        with ledger.case("mutated clips: ingest", f"{name} ({damaged})") as case:
            case.clips([name], [name] * (name in found))
            record = found[name]
            assert (record["status"] == "ok") == (name in rows)
            if record["status"] == "failed":
                check_failure(record, reasons)
                continue
            doubt = record["payload"].get("doubt", "")
            assert bool(doubt) == (name in report["completeness_unknown"])
            check_row(project.clips / name, None, doubt, originals[damaged.base])
    assert "Traceback" not in output
