"""kill -9 at random moments of a download: the same corpus, and nothing left lying about."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys

import pytest

from tests.support.http_server import Reply, ScriptedServer
from tests.support.victim import Victim

KILLS = 20
CLIPS = 24
PARAMS = "ingest.min_rows=1,ingest.download.allow_private=true,ingest.download.concurrency=3"


class Download:
    """A project whose manifest points at a slow server; every fifth clip is not there."""

    def __init__(self, project, server, tiny_clips) -> None:
        self.project = project
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

    def command(self) -> list[str]:
        kedro = [sys.executable, "-m", "kedro", "run", "--pipelines=ingest"]
        return [*kedro, f"--params={PARAMS}"]

    def run(self) -> None:
        self.project.kedro("run", "--pipelines=ingest", f"--params={PARAMS}")

    def rows(self) -> list[dict]:
        """Return the corpus apart from its timestamps."""
        rows = [json.loads(line) for line in self.corpus.read_text().splitlines()]
        return [{k: v for k, v in row.items() if k != "ingested_at_utc"} for row in rows]

    def parts(self) -> list[str]:
        return sorted(path.name for path in self.clips.glob("*.part*"))

    def forget(self) -> None:
        shutil.rmtree(self.project.root / "data/02_intermediate", ignore_errors=True)
        shutil.rmtree(self.clips, ignore_errors=True)
        (self.project.drop / ".download-progress.json").unlink(missing_ok=True)


@pytest.fixture
def download(project, tiny_clips):
    with ScriptedServer() as server:
        yield Download(project, server, tiny_clips)


def test_random_kills_of_a_download(download):
    download.run()
    expected = download.rows()
    assert len(expected) == CLIPS - CLIPS // 5 and download.parts() == []
    download.forget()
    moments = random.Random("ingest")
    killed = mid_transfer = 0
    while killed < KILLS:
        victim = Victim(download.command(), download.project.root)
        try:
            victim.process.wait(timeout=moments.uniform(1.0, 4.0))
        except subprocess.TimeoutExpired:
            victim.kill()
            killed += 1
            assert victim.survivors_after(2.0) == []
            mid_transfer += bool(download.parts())
        else:
            assert download.rows() == expected and download.parts() == []
            download.forget()
    download.run()
    assert download.rows() == expected
    assert download.parts() == []
    progress = json.loads((download.project.drop / ".download-progress.json").read_text())
    states = [progress[f"{i:02d}.mp4"]["state"] for i in range(CLIPS)]
    assert states == ["failed" if i % 5 == 4 else "done" for i in range(CLIPS)]
    assert mid_transfer >= 3, "the kills missed the part that matters"
