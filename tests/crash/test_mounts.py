"""Disks that are really full or read-only: a run ends with its reason, and goes on afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crash.conftest import CHUNKS, sampled, some_rooms
from tests.crash.undisturbed import SCENARIOS, Place, Scenarios, Undisturbed
from tests.support.ledger import Ledger
from tests.support.mounts import PrivateMounts, private_mounts

PAGE = 4096
ROOMY = 64 << 20

FOLDERS = (
    *("data", "data/01_raw", "data/02_intermediate", "data/04_feature", "data/05_model_input"),
    *("data/08_reporting", "data/encodes"),
)


@pytest.fixture
def mounts() -> PrivateMounts:
    return private_mounts()


def pages(folder: Path) -> int:
    """Return the room that the files of a folder take up on a tmpfs."""
    return sum(-(-path.stat().st_size // PAGE) for path in folder.rglob("*") if path.is_file())


@contextmanager
def filling_up(mounts: PrivateMounts, run: Undisturbed, room: int) -> Iterator[Place]:
    """Yield a project whose data are on a tmpfs with room for a few pages more."""
    root = run.copy("full")
    folder, given = root / "data", root / "given"
    folder.rename(given)
    folder.mkdir()
    mounts.add_tmpfs(folder, (pages(given) + room) * PAGE)
    try:
        shutil.copytree(given, mounts.view(folder), dirs_exist_ok=True)
        yield Place(root, mounts.view(root))
    finally:
        mounts.remove(folder)


@pytest.mark.parametrize("name", sampled(SCENARIOS, ["extract"]))
def test_disk_that_fills_up(
    scenarios: Scenarios, mounts: PrivateMounts, ledger: Ledger, name: str, chunk: int
) -> None:
    run = scenarios.get(name)
    needed = pages(run.scratch / "undisturbed/data") - pages(run.scenario.root / "data")
    rooms = some_rooms(needed)[chunk::CHUNKS] if ledger.full else [needed // 2]
    for room in rooms:
        title = f"{name}: {room} of {needed} pages"
        with (
            ledger.case("disk errors: full tmpfs", title) as case,
            filling_up(mounts, run, room) as place,
        ):
            status, output = run.run(mounts.server, place.root)
            assert status != 0, "a run on a full disk ends well"
            run.check_end(case, place, status, output)
            mounts.resize(place.root / "data", ROOMY)
            run.finish(case, mounts.server, place)


@pytest.mark.parametrize("name", sampled(SCENARIOS, ["extract"]))
def test_read_only_folder(
    scenarios: Scenarios, mounts: PrivateMounts, ledger: Ledger, name: str
) -> None:
    run = scenarios.get(name)
    for folder in FOLDERS if ledger.full else FOLDERS[2:3]:
        root = run.copy("read_only")
        (root / folder).mkdir(exist_ok=True)
        place = Place(root, mounts.view(root))
        with ledger.case("disk errors: read-only folder", f"{name}: {folder}") as case:
            mounts.make_read_only(root / folder)
            status, output = run.run(mounts.server, root)
            mounts.remove(root / folder)
            run.check_end(case, place, status, output)
            run.finish(case, mounts.server, place)
