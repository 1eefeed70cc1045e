"""No more processes on the GPU than asked for, whoever starts them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.vmaf import gpu
from k150k_pipeline.vmaf.fork import CpuEngine, CudaEngine
from k150k_pipeline.vmaf.gpu import gpu_slot
from k150k_pipeline.vmaf.plans import IDENTITY
from tests.vmaf.conftest import Bench

_HOLDER = """
import sys
from k150k_pipeline.vmaf import gpu
gpu._NAME = sys.argv[1]
with gpu.gpu_slot(1):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> threading.Event:
    """Give the test slots of its own; the event is set once somebody waits for one."""
    event = threading.Event()

    def sleep(seconds: float) -> None:
        event.set()
        time.sleep(seconds)

    monkeypatch.setattr(gpu, "_NAME", f"test-{request.node.name}-{id(event)}"[-90:])
    monkeypatch.setattr(gpu, "time", type("Clock", (), {"sleep": staticmethod(sleep)}))
    return event


@pytest.fixture
def holder(waiting: threading.Event) -> Iterator[subprocess.Popen[str]]:
    """Yield another process that holds the only slot."""
    command = [sys.executable, "-c", _HOLDER, gpu._NAME]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        assert not waiting.is_set()
        yield process
        process.kill()


def test_slots_are_taken_and_given_back(waiting: threading.Event) -> None:
    for _ in range(3):
        with gpu_slot(2), gpu_slot(2):
            pass
    assert not waiting.is_set()


def test_engine_waits_for_the_gpu(
    bench: Bench, clips: dict[str, ClipInfo], waiting: threading.Event
) -> None:
    engine = CudaEngine(bench.changed(gpu_processes=1))
    scored: list[int] = []
    thread = threading.Thread(
        target=lambda: scored.append(engine.score(clips["eight_bit"], IDENTITY).frames)
    )
    with gpu_slot(1):
        thread.start()
        assert waiting.wait(60)
        assert not bench.has_run("cuda")
    thread.join(60)
    assert scored == [3]


def test_cpu_passes_wait_for_no_gpu(
    bench: Bench, clips: dict[str, ClipInfo], waiting: threading.Event
) -> None:
    with gpu_slot(1):
        CpuEngine(bench.changed(gpu_processes=1)).score(clips["eight_bit"], IDENTITY)
    assert not waiting.is_set()


def test_slot_of_a_killed_process_is_free(
    waiting: threading.Event, holder: subprocess.Popen[str]
) -> None:
    taken = threading.Event()

    def take() -> None:
        with gpu_slot(1):
            taken.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert waiting.wait(60) and not taken.is_set()
    holder.kill()
    assert taken.wait(60)
    thread.join()
