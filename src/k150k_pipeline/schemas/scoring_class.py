"""Which descriptions of an engine stand for equal values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_EQUAL = ("native", "embedded")
_OF_THE_ENGINE = ("backend", "engine", "decoder")


def scoring_class(scoring: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description of scoring, less what makes no difference to the values.

    Rows whose classes are equal may stand in one table. ``native`` and ``embedded`` are one class
    if ffmpeg, libvmaf, model, plan, rules and schema are equal (docs/backends.md).
    """
    if scoring.get("backend") not in _EQUAL:
        return dict(scoring)
    return {key: value for key, value in scoring.items() if key not in _OF_THE_ENGINE}
