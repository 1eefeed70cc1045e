"""What determines a row's numbers, as one short key."""

from __future__ import annotations

import hashlib
import json

from k150k_pipeline.schemas.features import SCHEMA_VERSION
from k150k_pipeline.schemas.parameters import PlanName
from k150k_pipeline.vmaf.engine import EngineIdentity

SCORING_RULES = 1
"""Raised whenever pixel-format rules, aggregation or identity constants change."""


def describe_scoring(identity: EngineIdentity, plan: PlanName) -> dict[str, str | int]:
    """Return everything that determines the numbers, for a person to read."""
    return {
        **identity.as_dict(),
        "plan": plan,
        "scoring_rules": SCORING_RULES,
        "schema_version": SCHEMA_VERSION,
    }


def fingerprint(scoring: dict[str, str | int]) -> str:
    """Return 16 hexadecimal digits that differ when any part of the description does."""
    text = json.dumps(scoring, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
