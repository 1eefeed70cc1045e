"""Scoring that sleeps, for cluster.py: a clip costs the same everywhere, and no core.

Nodes go to workers by the name of their function, so a worker imports this file too.
"""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from k150k_pipeline.journal.worker import Tally
from k150k_pipeline.media.identity import FileIdentity, identify
from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.pipelines.feature_extraction import nodes
from k150k_pipeline.schemas.features import FEATURES
from k150k_pipeline.vmaf import ClipScore
from k150k_pipeline.vmaf.plans import Plan

SECONDS = "K150K_BENCHMARK_SECONDS"
"""Variable with the cost of a clip."""

_FRAMES = 2
_VALUES = {f: np.random.default_rng(i).random(_FRAMES) for i, f in enumerate(FEATURES)}
_score_shard = nodes.score_shard


class FixedCost:
    """A scorer that opens no clip and takes the same time for every one."""

    def __init__(self, *_: object) -> None:
        self._seconds = float(os.environ[SECONDS])

    def score(self, clip: ClipInfo, _plan: Plan, _first: int | None = None) -> ClipScore:
        """Return the same made-up values for every clip."""
        time.sleep(self._seconds)
        return ClipScore(clip, _FRAMES, _VALUES)

    def identify_file(self, path: Path) -> FileIdentity:
        """Hash the empty file."""
        return identify(path)

    def probe(self, path: Path) -> ClipInfo:
        """Return the same facts for every clip."""
        return ClipInfo(path, 0, 960, 540, "yuv420p", 8, False, _FRAMES, "h264")


def score_shard(*inputs: Any, shard: int, shards: int) -> Tally:
    """Score a shard with :class:`FixedCost`."""
    nodes.IsolatedScorer = FixedCost  # type: ignore[assignment,attr-defined]
    return _score_shard(*inputs, shard=shard, shards=shards)


functools.update_wrapper(score_shard, _score_shard, assigned=("__doc__", "__annotations__"))
