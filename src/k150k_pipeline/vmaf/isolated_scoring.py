"""Probing and scoring in the helper of this process: no clip is opened here."""

from __future__ import annotations

from pathlib import Path

from k150k_pipeline.isolation import ClipTask, own_helper
from k150k_pipeline.media.identity import FileIdentity, identify
from k150k_pipeline.media.probe import ClipInfo, probe
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf.engine import ClipScore
from k150k_pipeline.vmaf.factory import make_engine, tools_per_clip
from k150k_pipeline.vmaf.plans import Plan


class IsolatedScorer:
    """Probes clips and scores them against themselves, in a process that may die of one.

    Args:
        vmaf: Block ``vmaf``.
        memory_limit_mb: Limit of every process that opens a clip, in MiB.
        probe_timeout_s: Wall-clock limit of everything about a clip but its engine's tools.
    """

    def __init__(self, vmaf: VmafParameters, memory_limit_mb: int, probe_timeout_s: float) -> None:
        self._vmaf = vmaf
        self._helper = own_helper(memory_limit_mb)
        self._probe_timeout_s = probe_timeout_s

    def probe(self, path: Path) -> ClipInfo:
        """Probe a clip; see :func:`~k150k_pipeline.media.probe.probe`.

        Raises:
            ClipError: Also stage ``probe`` with the reasons of a helper.
        """
        task = ClipTask("probe", path, self._probe_timeout_s)
        return self._helper.call(task, probe, path)

    def identify_file(self, path: Path) -> FileIdentity:
        """Hash a clip; see :func:`~k150k_pipeline.media.identity.identify`.

        Raises:
            ClipError: Also stage ``probe`` with the reasons of a helper.
        """
        task = ClipTask("probe", path, self._probe_timeout_s)
        return self._helper.call(task, identify, path)

    def score(self, clip: ClipInfo, plan: Plan, first: int | None = None) -> ClipScore:
        """Score a clip; see :class:`~k150k_pipeline.vmaf.engine.Engine`.

        Raises:
            ClipError: Also stage ``score`` with the reasons of a helper.
        """
        limit = tools_per_clip(self._vmaf) * self._vmaf.clip_timeout_s + self._probe_timeout_s
        task = ClipTask("score", clip.path, limit)
        return self._helper.call(task, score_clip, self._vmaf, clip, plan, first)


def score_clip(vmaf: VmafParameters, clip: ClipInfo, plan: Plan, first: int | None) -> ClipScore:
    """Score a clip in this very process; raises as an engine does."""
    return make_engine(vmaf).score(clip, plan, first)
