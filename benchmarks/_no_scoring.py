"""``kedro run --pipelines=extract`` with scoring replaced by a no-op, for extract.py and scale.py.

Usage::

    python benchmarks/_no_scoring.py WORKERS [RECORDS]

Spawned workers import this file anew as their main module, so the replacement holds in them too.
With RECORDS, each node appends one JSON line to that file: its name, start and end, CPU seconds,
and the peak memory of its process while it ran. The last line is that of the main process.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline.node import Node
from kedro.runner import runner
from kedro.runner.task import Task

from k150k_pipeline.media.identity import FileIdentity, identify
from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.pipelines.feature_extraction import nodes
from k150k_pipeline.runners import ProcessRunner
from k150k_pipeline.schemas.features import FEATURES
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf import ClipScore, EngineIdentity
from k150k_pipeline.vmaf.plans import Plan

_FRAMES = 150
_VALUES = {f: np.random.default_rng(i).random(_FRAMES) for i, f in enumerate(FEATURES)}


class NoScoring:
    """An engine that opens no clip and returns the same frames for every one."""

    def __init__(self, parameters: VmafParameters, *_: float) -> None:
        self._model = parameters.model

    def identify(self) -> EngineIdentity:
        """Return an identity that says that nothing is scored."""
        return EngineIdentity("none", "no-op", "0", "0", "none", self._model)

    def score(self, clip: ClipInfo, _plan: Plan, _first: int | None = None) -> ClipScore:
        """Return the same made-up values for every clip."""
        return ClipScore(clip, _FRAMES, _VALUES)

    def identify_file(self, path: Path) -> FileIdentity:
        """Hash the empty file."""
        return identify(path)

    def probe(self, path: Path) -> ClipInfo:
        """Return the same facts for every clip."""
        return ClipInfo(path, 0, 960, 540, "yuv420p", 8, False, _FRAMES, "h264")


nodes.make_engine = NoScoring  # type: ignore[assignment,attr-defined]
nodes.IsolatedScorer = NoScoring  # type: ignore[assignment,attr-defined]


RECORDS = Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None


class RecordedTask(Task):
    """A task that notes what its node took, with the loading and saving of its datasets."""

    def execute(self) -> Node:
        """Run the node."""
        reset_peak()
        started, used = time.time(), cpu_seconds()
        node = super().execute()
        record(node.name, started, cpu_seconds() - used)
        return node


def record(name: str, started: float, cpu: float) -> None:
    """Append a line to the records."""
    if RECORDS is not None:
        fields: dict[str, Any] = {
            "name": name, "pid": os.getpid(), "started": started, "ended": time.time(),
            "cpu": cpu, "peak": peak_bytes(),
        }  # fmt: skip
        with RECORDS.open("a") as file:
            file.write(json.dumps(fields) + "\n")


def cpu_seconds() -> float:
    """Return user and system seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def reset_peak() -> None:
    """Make the peak memory of this process what it has now."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return the highest resident memory of this process since :func:`reset_peak`."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(found[1]) if found else 0


def _peak_kib() -> int:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in whose)


if RECORDS is not None:
    runner.Task = RecordedTask  # type: ignore[attr-defined]


if __name__ == "__main__":
    began = time.time()
    bootstrap_project(Path.cwd())
    extract = {"workers": int(sys.argv[1]), "verify_clips": 0}
    with KedroSession.create(
        project_path=Path.cwd(), runtime_params={"extract": extract}
    ) as session:
        cast(KedroSession, session).run(pipeline_names=["extract"], runner=ProcessRunner())
    record("main", began, cpu_seconds())
    print(_peak_kib())
