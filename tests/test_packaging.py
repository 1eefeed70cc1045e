"""The wheel: built from a copy of the checkout, installed in a folder of its own, run in others.

The wheel's dependencies are those of the environment of the tests; nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import CHECKOUT
from tests.support.waiting import HANG_GUARD_S

pytestmark = [pytest.mark.packaging, pytest.mark.xdist_group("packaging")]  # one wheel

NEEDED = ("src", "conf", "core", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
LIBRARY = "vmaf/_core.abi3.so"
COMPILER = shutil.which("cc") or shutil.which("gcc")
SECRET = "secret: 1\n"


def pip(*arguments: str, **environment: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
    subprocess.run(
        [sys.executable, "-m", "pip", *arguments, *quiet],
        check=True,
        env={**os.environ, **environment},
    )


def copy_checkout(checkout: Path) -> None:
    """Copy what a build needs, without the library that a build has left in the sources."""
    for name in NEEDED:
        subprocess.run(["cp", "-a", str(CHECKOUT / name), str(checkout)], check=True)
    for built in checkout.glob("src/**/_core*.so"):
        built.unlink()


def build_wheel(checkout: Path, **environment: str) -> Path:
    folder = str(checkout / "dist")
    pip("wheel", "--no-build-isolation", "--wheel-dir", folder, str(checkout), **environment)
    (found,) = (checkout / "dist").glob("*.whl")
    return found


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name.partition("k150k_pipeline/")[2] for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel of a checkout whose user has parameters of their own in conf/local."""
    checkout = tmp_path_factory.mktemp("checkout")
    copy_checkout(checkout)
    (checkout / "conf/local/parameters.yml").write_text(SECRET)
    return build_wheel(checkout)


class Installed:
    """An installation in a folder whose path has a hidden part, as ``.venv`` has."""

    def __init__(self, wheel: Path, root: Path) -> None:
        self.site = root / ".env/site-packages"
        pip("install", "--target", str(self.site), str(wheel))

    def run(self, folder: Path, *command: str, ok: bool = True) -> str:
        """Run a command in a folder; return stdout and stderr."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("KEDRO")}
        run = subprocess.run(
            command,
            cwd=folder,
            env={**own, "PYTHONPATH": str(self.site), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=HANG_GUARD_S,
        )
        assert (run.returncode == 0) is ok, run.stdout
        return run.stdout

    def k150k(self, folder: Path, *arguments: str, ok: bool = True) -> str:
        return self.run(folder, str(self.site / "bin/k150k"), *arguments, ok=ok)

    def files(self) -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in self.site.rglob("*")}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(wheel, tmp_path_factory.mktemp("installed"))


def test_the_wheel_has_all_that_it_needs_and_nothing_of_the_user(wheel):
    with zipfile.ZipFile(wheel) as archive:
        assert not any(SECRET.encode() in archive.read(name) for name in archive.namelist())
    names = contents(wheel)
    kept = [
        p for p in (CHECKOUT / "conf").rglob("*") if p.suffix == ".yml" and "local" not in str(p)
    ]
    expected = {str(p.relative_to(CHECKOUT)) for p in kept}
    expected |= {
        str(p.relative_to(CHECKOUT / "src/k150k_pipeline"))
        for p in (CHECKOUT / "src").rglob("*")
        if p.suffix in {".py", ".json", ".css", ".js", ".j2"} or p.name == "py.typed"
    }
    assert len(kept) > 10 and expected <= names
    library = {LIBRARY} if COMPILER else set()
    assert {n for n in names - expected if n} == {"conf/local/.gitkeep"} | library


def test_one_wheel_serves_every_later_python(wheel):
    assert "-cp311-abi3-" in wheel.name


def test_without_a_compiler_the_wheel_has_no_library(tmp_path):
    copy_checkout(tmp_path)
    found = contents(build_wheel(tmp_path, CC="no-such-compiler"))
    assert LIBRARY not in found and "vmaf/native.py" in found


@pytest.mark.thorough
@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_the_source_distribution_has_all_that_the_library_is_built_from(tmp_path):
    checkout, unpacked = tmp_path / "checkout", tmp_path / "unpacked"
    checkout.mkdir()
    copy_checkout(checkout)
    build = "from setuptools import build_meta; build_meta.build_sdist('.')"
    subprocess.run([sys.executable, "-c", build], cwd=checkout, check=True, capture_output=True)
    (archive,) = checkout.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(unpacked, filter="data")
    (folder,) = unpacked.iterdir()
    assert LIBRARY in contents(build_wheel(folder))


def test_extract_in_a_folder_with_nothing_in_it(installed, tmp_path, tiny_clips):
    folder, out = tmp_path / "empty", tmp_path / "out/features.parquet"
    folder.mkdir()
    scores = tmp_path / "scores.csv"
    names = sorted(path.name for path in tiny_clips.iterdir())
    pd.DataFrame({"video_name": names, "video_score": 3.0}).to_csv(scores, index=False)
    before = installed.files()
    params = (
        f"clips_dir={tiny_clips},scores={scores},out={out},extract.verify_clips=0,extract.shards=2"
    )
    run = ("run", "--pipelines=extract", "--params", params)
    output = installed.k150k(folder, *run)
    assert f"Engine: {'native' if COMPILER else 'embedded'}" in output
    assert "8 of 8 clips have a row" in output and "Kedro is sending" not in output
    assert pd.read_parquet(out)["clip_name"].tolist() == names
    assert [path.name for path in folder.iterdir()] == ["data"]
    assert "wanted 8, done 8" in installed.k150k(folder, "extract-status")
    assert installed.files() == before


def test_conf_beside_changes_what_it_names_and_the_module_is_the_same_command(installed, tmp_path):
    (tmp_path / "conf/local").mkdir(parents=True)
    (tmp_path / "conf/local/globals.yml").write_text("data: elsewhere\n")
    module = (sys.executable, "-m", "k150k_pipeline")
    output = installed.run(tmp_path, *module, "extract-status")
    assert f"{tmp_path}/elsewhere/02_intermediate/k150ka_journal" in output
    given = tmp_path / "given/local"
    given.mkdir(parents=True)
    (given / "globals.yml").write_text("data: third\n")
    output = installed.k150k(tmp_path, "fr-status", f"--conf-source={given.parent}")
    assert f"{tmp_path}/third/02_intermediate/k150k_fr_journal" in output


def test_kedro_outside_a_project_says_where_to_go(installed, tmp_path):
    kedro = (sys.executable, "-m", "kedro")
    output = installed.run(tmp_path, *kedro, "run", "--pipelines=extract", ok=False)
    assert f"{tmp_path} is in no Kedro project: cd to the checkout of k150k-pipeline" in output
    assert "or run `k150k run --pipelines=extract` here" in output
    assert "No such command" not in output and "usage data" not in output


def test_another_kedro_project_is_not_taken_for_ours(installed, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.kedro]\npackage_name = "other"\n')
    (tmp_path / "sub").mkdir()
    output = installed.k150k(tmp_path / "sub", "run", ok=False)
    assert output.startswith(f"Error: {tmp_path} is the Kedro project other")
    assert output.count("\n") == 1


def test_a_mistake_is_reported_without_a_traceback(installed, tmp_path):
    output = installed.k150k(tmp_path, "run", "--pipelinez=extract", ok=False)
    assert "No such option" in output and "Traceback" not in output
