"""Reader of libvmaf's JSON log; it checks that every key is on every frame, and no key twice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from k150k_pipeline.errors import ClipError
from k150k_pipeline.vmaf.names import candidate_keys, similar_keys

FrameValues = dict[str, npt.NDArray[np.float64]]
"""Values by feature name, shape (frames,) each."""

Frames = dict[int, dict[str, float | None]]
"""Metrics by frame number, each under its key in the log."""


def parse_log(log: bytes | str) -> tuple[str, Frames]:
    """Parse a JSON log.

    Returns:
        The libvmaf version in it, and the metrics by frame number.

    Raises:
        ClipError: Stage ``score``; reasons ``bad_log`` (it is not libvmaf's JSON, or cut off) and
            ``duplicate_feature`` (a key is twice on a frame).
    """
    try:
        document = json.loads(log, object_pairs_hook=_without_duplicates)
        frames = {int(f["frameNum"]): _metrics(f["metrics"]) for f in document["frames"]}
        count = len(document["frames"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClipError("score", "bad_log", f"unreadable libvmaf log: {error!r}") from error
    if sorted(frames) != list(range(count)):
        raise ClipError("score", "bad_log", "frame numbers of the libvmaf log are not 0, 1, 2, …")
    return str(document.get("version", "")), frames


def merge_passes(first: Frames, second: Frames) -> Frames:
    """Merge the logs of two passes over the same clip by frame number.

    Raises:
        ClipError: Stage ``score``; reasons ``frame_count`` (the passes scored different frames)
            and ``duplicate_feature`` (both return one key, and neither is preferred silently).
    """
    if first.keys() != second.keys():
        raise ClipError(
            "score", "frame_count", f"passes scored {len(first)} and {len(second)} frames"
        )
    for number, metrics in first.items():
        if shared := metrics.keys() & second[number].keys():
            raise ClipError(
                "score", "duplicate_feature", f"frame {number}: both passes return {sorted(shared)}"
            )
    return {number: {**metrics, **second[number]} for number, metrics in first.items()}


def select_features(frames: Frames, features: Iterable[str]) -> FrameValues:
    """Return the values of features in parsed frames; ``null`` becomes NaN.

    Raises:
        ClipError: Stage ``score``, reason ``missing_feature``: a feature is not on every frame.
    """
    rows = [frames[number] for number in sorted(frames)]
    return {feature: _column(rows, feature) for feature in features}


def _column(rows: Sequence[Mapping[str, float | None]], feature: str) -> npt.NDArray[np.float64]:
    keys = [key for key in candidate_keys(feature) if rows and key in rows[0]]
    if not keys:
        detail = _describe_missing(feature, rows[0] if rows else {})
        raise ClipError("score", "missing_feature", detail)
    try:
        values = [row[keys[0]] for row in rows]
    except KeyError as error:
        raise ClipError("score", "missing_feature", f"{feature} is not on every frame") from error
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _describe_missing(feature: str, metrics: Mapping[str, float | None]) -> str:
    similar = ", ".join(similar_keys(feature, metrics))
    other = f"; {similar} is not taken for it: other options, other values" if similar else ""
    return f"no {feature} in the libvmaf log{other}"


def _metrics(metrics: dict[str, Any]) -> dict[str, float | None]:
    return {key: None if v is None else float(v) for key, v in metrics.items()}


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise ClipError("score", "duplicate_feature", f"registered twice: {twice}")
    return mapping
