"""Workers that share nothing with the client but a store, and one of them is lost with its disk."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.conftest import copy_project
from tests.support.cluster import RUNNER, scheduler_command, worker_command
from tests.support.kedro_server import kedro_server
from tests.support.object_store import write_credentials
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.serial, pytest.mark.thorough]


class Machine:
    """A worker with a project folder and a temporary folder of its own."""

    def __init__(self, address: str, folder: Path, endpoint: str) -> None:
        folder.mkdir()
        self.project = copy_project(folder)
        write_credentials(self.project, endpoint)
        self._disk = tempfile.TemporaryDirectory(prefix="m ")
        self.disk = Path(self._disk.name)
        self.log = folder / "worker.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                worker_command(address),
                cwd=self.project,
                env={**os.environ, "TMPDIR": str(self.disk)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(lambda: "Registered to:" in self.log.read_text())

    def lose(self) -> None:
        """End every process of the machine at once, and take its disk away."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._disk.cleanup()


@pytest.fixture
def address(tmp_path):
    log = tmp_path / "scheduler.log"
    with log.open("wb") as file:
        command = scheduler_command("--host", "127.0.0.1", "--port", "0")
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: re.search(r"Scheduler at: +(tcp:\S+)", log.read_text()) is not None)
        yield re.search(r"Scheduler at: +(tcp:\S+)", log.read_text())[1]
    finally:
        process.kill()
        process.wait()


@pytest.mark.thorough
@pytest.mark.parametrize("lost", [False, True])
def test_workers_that_share_nothing_but_the_store(
    project, tiny_clips, bucket, store, address, tmp_path, lost
):
    project.add_clips(tiny_clips, copies=4)
    project.run()
    write_credentials(project.root, store.endpoint)
    bucket.put_clips(project.clips)
    bucket.put("scores.csv", project.scores.read_bytes())
    machines = [Machine(address, tmp_path / name, store.endpoint) for name in ("one", "two")]
    try:
        params = bucket.params(**{"store.segment_clips": 1, "extract.shards": 4})
        runner = (RUNNER, f"--runner-params=address={address}")
        run = kedro_server().start(project.extract(*runner, params=params), project.root)
        if lost:
            wait_until(lambda: sum("/shard-" in key for key in bucket.listing("journal")) >= 5)
            machines[0].lose()
        assert run.wait() == 0, run.output()
        assert bucket.get("out/full.parquet") == project.features.read_bytes()
    finally:
        for machine in machines:
            machine.lose()
