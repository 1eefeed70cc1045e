"""The description of everything that determines the numbers of a row."""

from __future__ import annotations

from k150k_pipeline.schemas.features import SCHEMA_VERSION
from k150k_pipeline.schemas.parameters import PlanName
from k150k_pipeline.vmaf.engine import EngineIdentity

SCORING_RULES = 1
"""Raise it whenever pixel-format rules, aggregation or identity constants change."""


def describe_scoring(identity: EngineIdentity, plan: PlanName) -> dict[str, str | int]:
    """Return everything that determines the numbers, in a form that a person can read."""
    return {
        **identity.as_dict(),
        "plan": plan,
        "scoring_rules": SCORING_RULES,
        "schema_version": SCHEMA_VERSION,
    }
