"""Runs in a network namespace without a route: the same bytes, and nothing is sent or looked up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import KEDRO, Project, copy_project
from tests.end_to_end.test_mos_head import Head
from tests.support.ledger import Case
from tests.support.storms import Job
from tests.support.waiting import HANG_GUARD_S

KIND = "no network"
ALONE = ("unshare", "--user", "--map-root-user", "--net")
AUDIT = Path(__file__).resolve().parents[1] / "support/audit"
SHORT = "sample.seconds=0.3,extract.verify_clips=0"

pytestmark = pytest.mark.serial


@dataclass(frozen=True)
class Alone:
    """The end of a command that had no network.

    Attributes:
        status: Exit status.
        output: What it printed.
        unroutable: Packets and connections of all its processes that found no route.
        addresses: What its Python processes turned to beyond this machine, one a line.
    """

    status: int
    output: str
    unroutable: int
    addresses: str


@pytest.fixture
def alone(tmp_path) -> Callable[[Sequence[str], Path], Alone]:
    """Return a function that runs a command without a network; skip where that cannot be."""
    tried = subprocess.run([*ALONE, "cat", "/proc/net/snmp"], capture_output=True, text=True)
    if tried.returncode or "OutNoRoutes" not in tried.stdout:
        pytest.skip(f"no network namespace for a test here: {tried.stderr}")

    def run(command: Sequence[str], folder: Path) -> Alone:
        counters, addresses = tmp_path / "snmp", tmp_path / "addresses"
        addresses.unlink(missing_ok=True)
        script = (
            'counters=$1; shift; "$@"; status=$?; cat /proc/net/snmp > "$counters"; exit $status'
        )
        ended = subprocess.run(
            [*ALONE, "sh", "-c", script, "sh", counters, *command],
            cwd=folder,
            env=audited(addresses),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=HANG_GUARD_S,
        )
        seen = addresses.read_text() if addresses.exists() else ""
        return Alone(ended.returncode, ended.stdout, no_routes(counters.read_text()), seen)

    return run


def audited(addresses: Path) -> dict[str, str]:
    """Return an environment in which no variable turns telemetry off, and Python is watched."""
    paths = [str(AUDIT), *filter(None, [os.environ.get("PYTHONPATH")])]
    ours = {"PYTHONPATH": os.pathsep.join(paths), "K150K_TEST_ADDRESSES": str(addresses)}
    kept = {k: v for k, v in os.environ.items() if k not in ("DO_NOT_TRACK", "CI")}
    kept.pop("KEDRO_DISABLE_TELEMETRY", None)
    return {**kept, **ours}


def no_routes(counters: str) -> int:
    names, values = (line.split() for line in counters.splitlines() if line.startswith("Ip:"))
    return int(values[names.index("OutNoRoutes")])


def check_quiet(ended: Alone, case: Case) -> None:
    """Check that a run ended well, and that none of its processes turned to the network."""
    case.read(ended.output)
    assert ended.status == 0, ended.output
    assert ended.addresses == ""
    assert ended.unroutable == 0


def test_what_turns_to_the_network_is_seen(alone, tmp_path):
    """The two ways to see it work, so that their silence means something."""
    program = (
        "import contextlib, socket\n"
        "with contextlib.suppress(OSError): socket.create_connection(('192.0.2.1', 80), 1)\n"
        "with contextlib.suppress(OSError): socket.getaddrinfo('example.org', 80)\n"
    )
    ended = alone([sys.executable, "-c", program], tmp_path)
    assert ended.unroutable > 0
    assert "socket.connect 192.0.2.1" in ended.addresses
    assert "socket.getaddrinfo example.org" in ended.addresses


def test_extract(project, ledger, alone):
    job = Job(project, "extract")
    job.run()
    expected = job.result()
    job.hold()
    job.release()
    with ledger.case(KIND, "extract") as case:
        check_quiet(alone([*KEDRO, *job.arguments()], project.root), case)
        assert job.result() == expected
        case.clips(job.names, [record["clip"] for record in job.lines()])


@pytest.mark.thorough
def test_sample(tmp_path, ledger, alone):
    run = ["run", "--env=sample", "--pipelines=extract", f"--params={SHORT}"]
    features = "data/sample/04_feature/full_features_k150k.parquet"
    near, far = (tmp_path / name for name in ("near", "far"))
    for root in (near, far):
        root.mkdir()
        copy_project(root)
    with ledger.case(KIND, "the sample") as case:
        Project(near).kedro(*run)
        check_quiet(alone([*KEDRO, *run], far), case)
        assert (far / features).read_bytes() == (near / features).read_bytes()


@pytest.mark.thorough
def test_mos_head(tmp_path, ledger, alone):
    head = Head(tmp_path / "near")
    far = head.copy(tmp_path / "far")
    with ledger.case(KIND, "mos_head") as case:
        head.run()
        check_quiet(alone([*KEDRO, "run", "--pipelines=mos_head"], far.root), case)
        assert far.files() == head.files()
    corpus = far.root / "data/02_intermediate/konvid_150k.jsonl"
    given = f"predict.source={far.project.features},predict.corpus_jsonl={corpus}"
    predict = ["run", "--pipelines=predict", f"--params={given}"]
    with ledger.case(KIND, "predict") as case:
        check_quiet(alone([*KEDRO, *predict], far.root), case)
