"""kill -9 all along a sweep: five rows for every clip, never fewer, never more."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable

import pytest

from tests.conftest import encode
from tests.fr_from_nr.conftest import numbers
from tests.support.journals import announced_at, journaled
from tests.support.victim import Victim

CLIPS = 12
STEP = 3
"""A sweep is killed after so many clips at most."""
PARAMS = "fr_from_nr.preset=ultrafast,fr_from_nr.shards=4,fr_from_nr.encode_dir=data/encodes"

pytestmark = pytest.mark.serial


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

    def arguments(self, keep: bool = False, workers: int = 2) -> list[str]:
        own = f"keep_encodes={str(keep).lower()},fr_from_nr.workers={workers}"
        params = f"{PARAMS},fr_from_nr.{own}"
        return ["run", "--pipelines=fr_from_nr", f"--params={params}"]

    def run(self) -> None:
        self.project.kedro(*self.arguments())

    def rows(self) -> list[dict]:
        return [json.loads(line) for line in self.output.read_text().splitlines()]

    def point_of_death(self, number: int, draw: random.Random) -> Callable[[], bool]:
        """Return what a run has reached when it is killed: a plan, or some clips more.

        A run that has fewer clips to do lives to its end.
        """
        before, done = announced_at(self.journal), journaled(self.journal).total()
        wanted = done + (draw.randint(1, STEP) if number % 4 else 0)
        return lambda: (
            announced_at(self.journal) > before and journaled(self.journal).total() >= wanted
        )

    def forget(self) -> None:
        for folder in (self.journal, self.output.parent):
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def sweep(project):
    return Sweep(project)


@pytest.mark.thorough
def test_kills_all_along_a_sweep(sweep, ledger):
    kills = ledger.kills()
    sweep.run()
    expected = numbers(sweep.rows())
    assert Counter(row["src"] for row in expected) == {f"{i:02d}.mp4": 5 for i in range(CLIPS)}
    sweep.forget()
    draw = random.Random("fr")
    killed = mid_sweep = 0
    while killed < kills:
        point = sweep.point_of_death(killed, draw)
        run = sweep.arguments(keep=killed % 4 > 1, workers=1 + killed % 2)
        victim = Victim.fork(run, sweep.project.root)
        if victim.reaches(point):
            victim.kill(moments=draw)
            killed += 1
            done = journaled(sweep.journal)
            with ledger.case("kills: fr_from_nr", f"kill {killed}") as case:
                assert victim.survivors() == []
                case.clips([], done.elements())
                case.read(victim.output())
            mid_sweep += 0 < len(done) < CLIPS
        else:
            assert victim.process.wait() == 0
            assert numbers(sweep.rows()) == expected
            sweep.forget()
    sweep.run()
    assert numbers(sweep.rows()) == expected
    with ledger.case("runs after kills: fr_from_nr", "the rows") as case:
        names = [f"{i:02d}.mp4" for i in range(CLIPS)]
        case.clips(names, journaled(sweep.journal).elements())
    assert mid_sweep >= kills // 2, "the kills missed the part that matters"
