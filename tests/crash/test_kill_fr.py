"""kill -9 at random moments of a sweep: five rows for every clip, never fewer, never more."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.conftest import encode
from tests.fr_from_nr.conftest import numbers
from tests.support.victim import Victim

KILLS = 20
CLIPS = 12
PARAMS = "fr_from_nr.preset=ultrafast,fr_from_nr.shards=4,fr_from_nr.encode_dir=data/encodes"


class Sweep:
    """A project with a MOS corpus of tiny clips, whose encodes are kept."""

    def __init__(self, project) -> None:
        self.project = project
        self.data = project.root / "data"
        self.journal = self.data / "02_intermediate/k150k_fr_journal"
        self.output = self.data / "05_model_input/k150k_fr_corpus.jsonl"
        corpus = self.data / "02_intermediate/konvid_150k.jsonl"
        corpus.parent.mkdir(parents=True)
        with corpus.open("w") as file:
            for index in range(CLIPS):
                name = f"{index:02d}.mp4"
                source = f"testsrc2=s=96x64:r=25:d=0.24,hue=h={index * 30}"
                encode(project.clips / name, source, "-pix_fmt", "yuv420p")
                file.write(json.dumps({"src": name, "mos": 1 + index / 4}) + "\n")

    def command(self, keep: bool = False) -> list[str]:
        kedro = [sys.executable, "-m", "kedro", "run", "--pipelines=fr_from_nr"]
        return [*kedro, f"--params={PARAMS},fr_from_nr.keep_encodes={str(keep).lower()}"]

    def run(self) -> None:
        subprocess.run(self.command(), cwd=self.project.root, check=True, stdout=subprocess.DEVNULL)

    def rows(self) -> list[dict]:
        return [json.loads(line) for line in self.output.read_text().splitlines()]

    def journaled(self) -> Counter[str]:
        """Return how many whole lines each clip has in the journal."""
        lines = [
            line
            for path in self.journal.glob("shard-*")
            for line in path.read_text().splitlines(keepends=True)[1:]
            if line.endswith("\n")
        ]
        return Counter(json.loads(line)["clip"] for line in lines)

    def await_plan(self, victim: Victim) -> None:
        """Wait until a run has planned, however slow the machine is, or has ended."""
        begun = time.time()
        announced = self.journal / "run.json"
        while victim.process.poll() is None and time.time() < begun + 60:
            if announced.exists() and announced.stat().st_mtime >= begun - 0.5:
                return
            time.sleep(0.02)

    def forget(self) -> None:
        for folder in (self.journal, self.output.parent):
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def sweep(project):
    return Sweep(project)


def test_random_kills_of_a_sweep(sweep):
    sweep.run()
    expected = numbers(sweep.rows())
    assert Counter(row["src"] for row in expected) == {f"{i:02d}.mp4": 5 for i in range(CLIPS)}
    sweep.forget()
    moments = random.Random("fr")
    killed = mid_sweep = 0
    while killed < KILLS:
        victim = Victim(sweep.command(keep=killed % 4 > 1), sweep.project.root)
        try:
            if killed % 2:
                victim.process.wait(timeout=moments.uniform(0.5, 3.5))
            else:
                sweep.await_plan(victim)
                victim.process.wait(timeout=moments.uniform(0.0, 1.2))
        except subprocess.TimeoutExpired:
            victim.kill()
            killed += 1
            assert victim.survivors_after(2.0) == []
            done = sweep.journaled()
            assert set(done.values()) <= {1}
            mid_sweep += 0 < len(done) < CLIPS
        else:
            assert numbers(sweep.rows()) == expected
            sweep.forget()
    sweep.run()
    assert numbers(sweep.rows()) == expected
    assert set(sweep.journaled().values()) == {1}
    assert mid_sweep >= 3, "the kills missed the part that matters"
