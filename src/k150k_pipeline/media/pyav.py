"""PyAV, loaded where a clip is opened: a worker, which opens none, never loads it."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    import av

    return getattr(av, name)
