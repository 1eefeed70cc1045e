"""The C library under the address and undefined-behaviour sanitizers, on made-up pictures."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.support.ledger import Ledger

CORE = CHECKOUT / "core"
PICTURES = {False: 200, True: 12_000}
COMPILER = shutil.which("cc") or shutil.which("gcc")
FLAGS = (
    *("-std=c11", "-O1", "-g", "-ffp-contract=off"),
    *("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wno-psabi", "-Werror"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program that scores made-up pictures."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    program = tmp_path_factory.mktemp("core") / "fuzz"
    sources = [*sorted(CORE.glob("src/*.c")), CORE / "tests/fuzz.c"]
    command = [COMPILER, *FLAGS, f"-I{CORE / 'include'}", *map(str, sources), "-o", str(program)]
    built = subprocess.run([*command, "-lm"], capture_output=True, text=True)
    if "cannot find" in built.stderr and "san" in built.stderr:
        pytest.skip("the compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    return program


def test_no_picture_makes_it_read_or_write_elsewhere(fuzz: Path, ledger: Ledger) -> None:
    number = PICTURES[ledger.full]
    run = subprocess.run([fuzz, "0", str(number)], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, f"{number} pictures\n"), run.stdout + run.stderr
