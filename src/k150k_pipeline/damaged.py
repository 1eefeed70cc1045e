"""Damaged files that are made again: their old bytes are kept beside them."""

from __future__ import annotations

import itertools
import logging
import os
from pathlib import Path

from k150k_pipeline.durable import sync_folder
from k150k_pipeline.storage import push, vacate

logger = logging.getLogger(__name__)


def set_aside(path: Path, reason: object, remedy: str) -> Path:
    """Rename a damaged file to ``<name>.damaged-<n>``, and log a warning that names both.

    Call this only while holding the lock that protects the file.

    Args:
        path: The file; another one takes its place later.
        reason: What is wrong with it.
        remedy: What becomes of its content, as a clause.

    Returns:
        The new path, which named nothing before.

    Raises:
        OSError: The folder cannot be written.
    """
    names = (path.with_name(f"{path.name}.damaged-{n}") for n in itertools.count(1))
    kept = next(name for name in names if not os.path.lexists(name))
    push(path, kept, create=True)
    path.rename(kept)
    vacate(path)
    sync_folder(path.parent)
    logger.warning(
        "%s is damaged (%s): %s. The old bytes are kept as %s",
        path, " ".join(str(reason).split()), remedy, kept.name,
    )  # fmt: skip
    return kept
