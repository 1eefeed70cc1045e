"""Fingerprints: short keys for everything that determines the contents of a journal line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


def fingerprint(scoring: Mapping[str, str | int]) -> str:
    """Return 16 hexadecimal digits that change with any part of the description."""
    text = json.dumps(scoring, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
