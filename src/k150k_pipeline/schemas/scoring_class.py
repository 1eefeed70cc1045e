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


def of_one_class(
    scorings: Mapping[str, Mapping[str, Any]], key: str, scoring: Mapping[str, Any]
) -> set[str]:
    """Return the other fingerprints whose rows may stand in one table with those of a run.

    Args:
        scorings: What each fingerprint of a journal stands for.
        key: Fingerprint of the run.
        scoring: What it stands for.
    """
    own = scoring_class(scoring)
    return {other for other in scorings if other != key and scoring_class(scorings[other]) == own}
