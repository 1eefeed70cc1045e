"""``kedro run --pipelines=extract`` with scoring replaced by a no-op, for extract.py overhead.

Spawned workers import this file anew as their main module, so the replacement holds in them too.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import cast

import numpy as np
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

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


def _peak_kib() -> int:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in whose)


if __name__ == "__main__":
    bootstrap_project(Path.cwd())
    extract = {"workers": int(sys.argv[1]), "verify_clips": 0}
    with KedroSession.create(
        project_path=Path.cwd(), runtime_params={"extract": extract}
    ) as session:
        cast(KedroSession, session).run(pipeline_names=["extract"], runner=ProcessRunner())
    print(_peak_kib())
