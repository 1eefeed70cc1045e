"""Clips made on the spot, projects of their own, and the shared reference material if present."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, settings

from k150k_pipeline.media.ffmpeg import find_ffmpeg
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf import Engine, make_engine
from tests.support.kedro_server import kedro_server
from tests.support.ledger import Ledger, add_option, ledger, pass_over_thorough, print_table
from tests.support.waiting import HANG_GUARD_S

# Tests share the cores. Threads of OpenMP that wait for each other on busy cores take ten times as
# long; libraries read this when they are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests stop runs with Ctrl-C. What a shell starts in the background ignores that signal, and so do
# all its children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")

CHECKOUT = Path(__file__).resolve().parents[1]
CRASH = CHECKOUT / "tests/crash"
SHARED = CHECKOUT.parent / "shared"
FEW_SHARDS = "\n".join(f"{name}: {{shards: 8}}" for name in ("extract", "ingest", "fr_from_nr"))

KEDRO = (sys.executable, "-m", "kedro")

MakeClip = Callable[..., Path]


__all__ = ["Ledger", "ledger"]


def pytest_addoption(parser: pytest.Parser) -> None:
    add_option(parser)


def pytest_terminal_summary(terminalreporter: object) -> None:
    print_table(terminalreporter)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give all tests marked ``serial`` to one of the processes that share the tests."""
    for item in items:
        if item.path.is_relative_to(CRASH):
            item.add_marker(pytest.mark.crash)
        if item.get_closest_marker("serial"):
            item.add_marker(pytest.mark.xdist_group("serial"))
    pass_over_thorough(config, items)


def encode(target: Path, source: str, *options: str) -> Path:
    """Encode one of ffmpeg's own sources to a file."""
    command = [find_ffmpeg(), "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source]
    codec = () if "-c:v" in options else ("-c:v", "libx264", "-preset", "ultrafast")
    subprocess.run([*command, *codec, *options, str(target)], check=True)
    return target


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """Return a function that makes a clip in the test's folder."""

    def make(
        *options: str, source: str = "testsrc2=s=320x240:r=30:d=0.3", name: str = "clip.mp4"
    ) -> Path:
        defaults = () if "-pix_fmt" in options else ("-pix_fmt", "yuv420p")
        return encode(tmp_path / name, source, *defaults, *options)

    return make


@pytest.fixture(scope="session")
def engine() -> Engine:
    return make_engine(VmafParameters(backend="embedded"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real clips and reference scores; skip where it is absent."""
    if not (SHARED / "golden").is_dir():
        pytest.skip(f"no reference material in {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def tiny_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of eight clips of six frames that score in a blink."""
    folder = tmp_path_factory.mktemp("tiny")
    for index in range(8):
        source = f"testsrc2=s=256x256:r=25:d=0.24,hue=h={index * 40},noise=alls={index * 3}"
        encode(folder / f"orig_{index:04d}_540_5s.mp4", source, "-pix_fmt", "yuv420p")
    return folder


class Project:
    """A project of its own with a K150K-A drop, run by the command line."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.drop = root / "data/01_raw/konvid-150k"
        self.clips = self.drop / "k150ka_extracted"
        self.scores = self.drop / "k150ka_scores.csv"
        self.features = root / "data/04_feature/full_features_k150k.parquet"
        self.done = self.features.with_suffix(".done")
        self.journal = root / "data/02_intermediate/k150ka_journal"
        self.report = root / "data/08_reporting/k150ka_report.json"
        self.failures = root / "data/08_reporting/k150ka_failures.csv"
        self.clips.mkdir(parents=True, exist_ok=True)

    def add_clips(self, folder: Path, copies: int = 1) -> list[str]:
        """Copy every clip of a folder and give each a label."""
        names = []
        for copy in range(copies):
            for path in sorted(folder.glob("*.mp4")):
                names.append(f"c{copy:02d}_{path.name}" if copies > 1 else path.name)
                if not (self.clips / names[-1]).exists():
                    os.link(path, self.clips / names[-1])
        self.write_scores({name: 1 + (i % 21) / 5 for i, name in enumerate(names)})
        return names

    def write_scores(self, mos: dict[str, float]) -> None:
        frame = pd.DataFrame({"video_name": mos.keys(), "video_score": mos.values()})
        frame.to_csv(self.scores, index=False)

    def extract(self, *arguments: str, params: str = "") -> list[str]:
        """Return the arguments of an extract run that verifies no plan."""
        defaults = "extract.verify_clips=0"
        joined = f"{defaults},{params}" if params else defaults
        return ["run", "--pipelines=extract", f"--params={joined}", *arguments]

    def run(
        self, *arguments: str, params: str = "", ok: bool = True, default_runner: bool = False
    ) -> str:
        """Run ``kedro run --pipelines=extract``; return stdout and stderr."""
        run = self.extract(*arguments, params=params)
        return self.kedro(*run, ok=ok, default_runner=default_runner)

    def kedro(self, *arguments: str, ok: bool = True, default_runner: bool = False) -> str:
        """Run a command of Kedro; return stdout and stderr.

        The command runs in a fork of the Kedro server and runs its pipelines with the
        SequentialRunner. With ``default_runner`` it is ``python -m kedro`` and starts its workers,
        at three seconds a call.
        """
        if default_runner:
            status, output = run_to_end([*KEDRO, *arguments], self.root)
        else:
            plain = any(a.startswith("--runner") for a in arguments) or arguments[0] != "run"
            runner = () if plain else ("--runner=SequentialRunner",)
            call = kedro_server().start([*arguments, *runner], self.root)
            status, output = call.wait(), call.output()
        assert (status == 0) is ok, output
        return output

    def table(self) -> pd.DataFrame:
        return pd.read_parquet(self.features)


def run_to_end(command: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run a command in a folder; return its exit status, and stdout and stderr in one."""
    run = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANG_GUARD_S,
    )
    return run.returncode, run.stdout


def copy_project(root: Path) -> Path:
    """Copy what Kedro needs to run the installed package from another folder."""
    ignored = shutil.ignore_patterns("local")
    shutil.copytree(CHECKOUT / "conf", root / "conf", ignore=ignored)
    (root / "conf/local").mkdir()
    (root / "conf/local/parameters.yml").write_text(FEW_SHARDS)
    (root / "src").mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(CHECKOUT / name, root)
    return root


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "project"
    root.mkdir()
    return Project(copy_project(root))
