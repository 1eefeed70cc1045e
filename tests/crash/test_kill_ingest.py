"""kill -9 all along a download: the same corpus, and nothing left lying about."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Callable

import pytest

from tests.conftest import KEDRO
from tests.support.http_server import Reply, ScriptedServer
from tests.support.journals import announced_at, journaled
from tests.support.victim import Victim
from tests.support.waiting import HANG_GUARD_S

CLIPS = 24
STEP = 5
"""A run is killed after so many requests, or clips, at most."""
PARAMS = "ingest.min_rows=1,ingest.download.allow_private=true,ingest.download.concurrency=3"

pytestmark = pytest.mark.serial


class Download:
    """A project whose manifest points at a slow server; every fifth clip is not there."""

    def __init__(self, project, server, tiny_clips) -> None:
        self.project, self.server = project, server
        self.journal = project.root / "data/02_intermediate/konvid_150k_ingest_journal"
        self.corpus = project.root / "data/02_intermediate/konvid_150k.jsonl"
        self.clips = project.drop / "clips"
        sources = sorted(tiny_clips.glob("*.mp4"))
        lines = ["name,url,mos"]
        for index in range(CLIPS):
            path = f"/{index:02d}.mp4"
            body = sources[index % len(sources)].read_bytes() + b"\0\0\0\x08free" * index
            headers = {"ETag": f'"{index}"'}
            slow = Reply(body=body, headers=headers, piece=2000, pause_s=0.03)
            url = server.at(path, Reply(status=404) if index % 5 == 4 else slow)
            lines.append(f"{index:02d}.mp4,{url},{1 + index % 5}")
        (project.drop / "manifest.csv").write_text("\n".join(lines) + "\n")

    def arguments(self, workers: int = 2) -> list[str]:
        return ["run", "--pipelines=ingest", f"--params={PARAMS},ingest.workers={workers}"]

    def run(self) -> None:
        self.project.kedro(*self.arguments())

    def rows(self) -> list[dict]:
        """Return the corpus apart from its timestamps."""
        rows = [json.loads(line) for line in self.corpus.read_text().splitlines()]
        return [{k: v for k, v in row.items() if k != "ingested_at_utc"} for row in rows]

    def parts(self) -> list[str]:
        return sorted(path.name for path in self.clips.glob("*.part*"))

    def point_of_death(self, number: int, draw: random.Random) -> Callable[[], bool]:
        """Return what a run has reached when it is killed: a download, or a look at some clips."""
        before, more = announced_at(self.journal), draw.randint(1, STEP)
        if number % 5 == 0:
            looked_at = journaled(self.journal).total() + more
            return lambda: (
                announced_at(self.journal) > before and journaled(self.journal).total() >= looked_at
            )
        asked = len(self.server.requests) + more
        return lambda: len(self.server.requests) >= asked and bool(self.parts())

    def forget(self) -> None:
        shutil.rmtree(self.project.root / "data/02_intermediate", ignore_errors=True)
        shutil.rmtree(self.clips, ignore_errors=True)
        (self.project.drop / ".download-progress.json").unlink(missing_ok=True)


@pytest.fixture
def download(project, tiny_clips):
    with ScriptedServer() as server:
        yield Download(project, server, tiny_clips)


def test_kills_all_along_a_download(download, ledger):
    kills = ledger.kills()
    download.run()
    expected = download.rows()
    assert len(expected) == CLIPS - CLIPS // 5 and download.parts() == []
    download.forget()
    draw = random.Random("ingest")
    killed = mid_transfer = 0
    while killed < kills:
        point = download.point_of_death(killed, draw)
        victim = Victim.fork(download.arguments(workers=1 + killed % 2), download.project.root)
        if victim.reaches(point):
            victim.kill(moments=draw)
            killed += 1
            with ledger.case("kills: ingest", f"kill {killed}") as case:
                assert victim.survivors() == []
                case.clips([], journaled(download.journal, "ok").elements())
                case.read(victim.output())
            mid_transfer += bool(download.parts())
        else:
            assert victim.process.wait() == 0
            assert download.rows() == expected and download.parts() == []
            download.forget()
    download.run()
    with ledger.case("runs after kills: ingest", "the rows") as case:
        case.clips([row["src"] for row in expected], [row["src"] for row in download.rows()])
    assert download.rows() == expected
    assert download.parts() == []
    progress = json.loads((download.project.drop / ".download-progress.json").read_text())
    states = [progress[f"{i:02d}.mp4"]["state"] for i in range(CLIPS)]
    assert states == ["failed" if i % 5 == 4 else "done" for i in range(CLIPS)]
    assert mid_transfer >= kills // 2, "the kills missed the part that matters"


@pytest.mark.thorough
def test_dead_worker_of_a_download_is_replaced(download):
    download.run()
    expected = download.rows()
    download.forget()
    asked = len(download.server.requests)
    run = Victim.start([*KEDRO, *download.arguments()], download.project.root)
    assert run.reaches(lambda: journaled(download.journal).total() >= 3), run.output()
    (lines,) = download.journal.glob("shard-9999-*")
    os.kill(int(lines.name.split("-")[-2]), signal.SIGKILL)
    done = set(journaled(download.journal))
    before = len(download.server.requests)
    assert run.process.wait(HANG_GUARD_S) == 0, run.output()
    assert "A new worker goes on with node ingest.fetch" in run.output()
    assert run.survivors() == [] and download.rows() == expected and download.parts() == []
    assert set(journaled(download.journal).values()) == {1}
    later = {request.path.strip("/") for request in download.server.requests[before:]}
    assert asked < before and not later & done, "a clip that has its line is fetched again"
