"""What determined the contents of a journal line, as one short key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


def fingerprint(scoring: Mapping[str, str | int]) -> str:
    """Return 16 hexadecimal digits that differ when any part of the description does."""
    text = json.dumps(scoring, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
