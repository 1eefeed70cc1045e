"""The C library under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.support.damaged_clips import damaged, make_sound
from tests.support.ledger import Ledger

pytestmark = pytest.mark.xdist_group("sanitized")  # the library is built once

CORE = CHECKOUT / "core"
PICTURES = {False: 200, True: 5_200}
MUTANTS = {False: 20, True: 480}
COMPILER = shutil.which("cc") or shutil.which("gcc")
FLAGS = (
    *("-std=c11", "-O1", "-g", "-ffp-contract=off"),
    *("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wno-psabi", "-Werror"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)


def run_compiler(folder: Path, *arguments: str) -> None:
    """Run the compiler with sanitizers in a folder."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    command = [COMPILER, *FLAGS, f"-I{CORE / 'include'}", *arguments]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if "cannot find" in built.stderr and "san" in built.stderr:
        pytest.skip("the compiler has no sanitizers")
    assert built.returncode == 0, built.stderr


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the object files of the scoring core, fit for a program and a library."""
    folder = tmp_path_factory.mktemp("core")
    run_compiler(folder, "-fPIC", "-c", *map(str, CORE.glob("src/*.c")))
    return [str(path) for path in folder.glob("*.o")]


@pytest.fixture(scope="module")
def fuzz(objects: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program that scores made-up pictures."""
    folder = tmp_path_factory.mktemp("fuzz")
    run_compiler(folder, str(CORE / "tests/fuzz.c"), *objects, "-lm", "-o", "fuzz")
    return folder / "fuzz"


def test_no_picture_makes_it_read_or_write_elsewhere(fuzz: Path, ledger: Ledger) -> None:
    number = PICTURES[ledger.full]
    run = subprocess.run([fuzz, "0", str(number)], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, f"{number} pictures\n"), run.stdout + run.stderr
    ledger.rows["made-up pictures: sanitizers"]["tried"] += number


SCORE_ALL = """
import sys
from pathlib import Path
from k150k_pipeline.errors import ClipError
from k150k_pipeline.media.probe import probe
from k150k_pipeline.vmaf import native
scored = tried = 0
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        clip = probe(path)
        tried += 1
        native._score(clip, None)
        scored += 1
    except (ClipError, native.UnusualError, native.av.error.FFmpegError, KeyError):
        pass
print(tried, scored)
"""
"""Scores the clips of a folder natively, as far as they decode, and prints how many it tried."""


@pytest.mark.skipif(sys.platform != "linux", reason="the sanitizer is preloaded")
def test_no_damaged_clip_makes_it_read_or_write_elsewhere(
    objects: list[str], ledger: Ledger, tmp_path: Path
) -> None:
    source, clips = tmp_path / "src", tmp_path / "clips"
    ignored = shutil.ignore_patterns("_core*", "__pycache__")
    shutil.copytree(CHECKOUT / "src", source, ignore=ignored)
    run_compiler(source / "k150k_pipeline/vmaf", "-shared", *objects, "-lm", "-o", "_core.so")
    (tmp_path / "sound").mkdir()
    sound = make_sound(tmp_path / "sound")
    clips.mkdir()
    for number in range(MUTANTS[ledger.full]):
        name = list(sound)[number % len(sound)]
        (clips / f"{number}{name}").write_bytes(damaged(sound[name], number))
    preloaded = [
        subprocess.run([COMPILER, f"-print-file-name={name}"], capture_output=True, text=True)
        for name in ("libasan.so", "libubsan.so")
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(source),
        "LD_PRELOAD": " ".join(found.stdout.strip() for found in preloaded),
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    run = subprocess.run(
        [sys.executable, "-c", SCORE_ALL, str(clips)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    tried, scored = map(int, run.stdout.split())
    assert tried > MUTANTS[ledger.full] // 4 and scored
    ledger.rows["damaged clips: sanitizers"]["tried"] += tried
