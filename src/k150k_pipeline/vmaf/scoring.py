"""The description of everything that determines the numbers of a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k150k_pipeline.schemas.features import SCHEMA_VERSION
from k150k_pipeline.schemas.parameters import PlanName
from k150k_pipeline.vmaf.engine import EngineIdentity

SCORING_RULES = 1
"""Raise it whenever pixel-format rules, aggregation or identity constants change."""

_EQUAL_ENGINES = ("native", "embedded")
"""Backends with equal values; see docs/backends.md."""


def describe_scoring(identity: EngineIdentity, plan: PlanName) -> dict[str, str | int]:
    """Return everything that determines the numbers, in a form that a person can read."""
    return {
        **identity.as_dict(),
        "plan": plan,
        "scoring_rules": SCORING_RULES,
        "schema_version": SCHEMA_VERSION,
    }


def may_share_a_table(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether rows with these two descriptions have equal values for equal clips.

    That is so if both are of ``native`` or ``embedded``, with the same ffmpeg, libvmaf, model, plan
    and rules.
    """
    return one == other or (
        all(scoring.get("backend") in _EQUAL_ENGINES for scoring in (one, other))
        and _less_the_engine(one) == _less_the_engine(other)
    )


def _less_the_engine(scoring: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in scoring.items() if k not in ("backend", "engine", "decoder")}
