"""A full, read-only or limited disk: one sentence, nothing lost, nothing left behind."""

from __future__ import annotations

import json
import re
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import KEDRO, Project
from tests.crash.conftest import some_rooms
from tests.support.ledger import Case, Ledger

PAGE = 4096
ROOMY = "size=16m"
OUTPUTS = ("02_intermediate", "04_feature", "08_reporting")

pytestmark = pytest.mark.serial


class SmallDisk:
    """A file system of its own, which holds what a run writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        options = ["-t", "tmpfs", "-o", ROOMY, "none"]
        if subprocess.run(["mount", *options, folder], capture_output=True).returncode:
            pytest.skip("no file system can be mounted here")

    def change(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.folder], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True)

    def pages(self) -> int:
        """Return the number of pages that its files take."""
        return sum(-(-path.stat().st_size // PAGE) for path in self.files())

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
def disk(project: Project) -> Iterator[SmallDisk]:
    """Return the disk on which all outputs of the project are."""
    disk = SmallDisk(project.root / "disk")
    for name in OUTPUTS:
        (disk.folder / name).mkdir()
        (project.root / "data" / name).symlink_to(disk.folder / name)
    yield disk
    disk.unmount()


class Pipeline:
    """A pipeline of the project whose outputs are all on one disk."""

    def __init__(self, name: str, project: Project) -> None:
        self.name, self._project = name, project
        data = project.root / "data"
        corpus = data / "02_intermediate/konvid_150k.jsonl"
        self.output = corpus if name == "ingest" else project.features

    def run(self, ok: bool = True) -> str:
        few = "ingest.min_rows=1,ingest.shards=1,extract.shards=1,extract.verify_clips=0"
        return self._project.kedro("run", f"--pipelines={self.name}", f"--params={few}", ok=ok)

    def rows(self) -> list[str]:
        """Return the clip of each row of the output."""
        if self.name == "extract":
            return list(self._project.table()["clip_name"])
        return [json.loads(line)["src"] for line in self.output.read_text().splitlines()]

    def contents(self) -> bytes:
        """Return the bytes of the output, without the times in it."""
        return re.sub(rb'"ingested_at_utc": "[^"]*"', b"", self.output.read_bytes())


def forget(disk: SmallDisk) -> None:
    for path in disk.files():
        path.unlink()


def check_sentence(case: Case, output: str, reason: str) -> None:
    """Require one message, with a file, the reason and the remedy."""
    case.read(output)
    errors = [line for line in output.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, output
    assert re.search(rf"/\S+ cannot be written[^:]*: {reason}\. Make ", errors[0]), errors[0]


def check_no_leftovers(disk: SmallDisk) -> None:
    assert [path.name for path in disk.files() if path.name.endswith(".tmp")] == []


@pytest.mark.parametrize("name", ["extract", "ingest"])
def test_disk_that_fills_up_at_many_pages(project, tiny_clips, disk, ledger: Ledger, name):
    clips = project.add_clips(tiny_clips)
    pipeline = Pipeline(name, project)
    pipeline.run()
    expected = pipeline.contents()
    needed = disk.pages() + 1  # the run's lock holds a page until the run ends
    for room in some_rooms(needed) if ledger.full else [needed - 5]:
        forget(disk)
        with ledger.case(f"full disk: {name}", f"{room} pages") as case:
            disk.change(f"size={(room + 1) * PAGE}")  # one is the root folder's
            check_sentence(case, pipeline.run(ok=False), "No space left on device")
            check_no_leftovers(disk)
            disk.change(ROOMY)
            pipeline.run()
            case.clips(clips, pipeline.rows())
            assert pipeline.contents() == expected
    disk.change(ROOMY)


@pytest.mark.thorough
def test_full_or_read_only_disk_keeps_the_outputs_that_are_on_it(project, tiny_clips, disk, ledger):
    clips = project.add_clips(tiny_clips)
    pipeline = Pipeline("extract", project)
    pipeline.run()
    before = pipeline.contents()
    project.write_scores(dict.fromkeys(clips[:4], 3.0))
    for options, reason in (
        (f"size={disk.pages() * PAGE}", "No space left on device"),
        ("ro", "Read-only file system"),
    ):
        with ledger.case("full disk: outputs on it", options) as case:
            disk.change(options)
            check_sentence(case, pipeline.run(ok=False), reason)
            assert pipeline.contents() == before
            assert "(not running)" in project.kedro("extract-status")
            disk.change(f"rw,{ROOMY}")
    pipeline.run()
    assert pipeline.rows() == clips[:4]


def test_run_that_may_not_write_a_byte_ends_with_one_sentence(project, tiny_clips, ledger):
    project.add_clips(tiny_clips)
    command = [*KEDRO, *project.extract()]
    with ledger.case("file size limit", "0") as case:
        run = subprocess.run(
            command,
            cwd=project.root,
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        )
        case.read(run.stderr)
        assert run.returncode == 1
        assert run.stderr.startswith("Error: No usable temporary directory found in [")
        assert not project.journal.exists()
