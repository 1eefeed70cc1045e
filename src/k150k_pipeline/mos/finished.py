"""Finished parts of a run, such as folds: kept by what they were made from, and counted."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from k150k_pipeline.durable import UnwritableError, naming, replacing, write_whole
from k150k_pipeline.mos.types import with_nan, without_nan

logger = logging.getLogger(__name__)

_STEPS = "steps.jsonl"
_MOST_STEPS_BYTES = 1 << 20
_DIGITS = 32


class Step(TypedDict):
    """A line of the file of steps; all keys but those of one kind of line are absent.

    ``due``, ``unit`` and ``even`` announce a run: number and unit of its steps, and whether each
    takes the same time. ``done`` and ``note`` are steps that were worked on, ``skipped`` those of
    kept parts. ``file`` is the name of the file of a part that is about to be saved, and ``part``
    what such parts are, in the plural.
    """

    due: NotRequired[int]
    unit: NotRequired[str]
    even: NotRequired[bool]
    done: NotRequired[int]
    note: NotRequired[str]
    skipped: NotRequired[int]
    file: NotRequired[str]
    part: NotRequired[str]


class Finished:
    """A folder with the results of finished parts, from this run and earlier ones.

    Each result is a file whose name contains a hash of everything that the result was made from.
    Files are whole or absent, and files of others are left alone. Processes of one run, and
    several runs, may use a folder at the same time.

    Args:
        folder: The folder; None keeps and counts nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    @property
    def steps(self) -> Path | None:
        """The file of steps, which is appended to; a line is a :class:`Step`."""
        return None if self.folder is None else self.folder / _STEPS

    def look_up(self, name: str, made_from: Mapping[str, Any]) -> Any:
        """Return a kept result; None if there is none, or if its file is damaged.

        Args:
            name: Name of the part, for the file name.
            made_from: Everything that determines the result, as a JSON object.
        """
        path = self._path(name, made_from)
        if path is None or not os.path.lexists(path):
            return None
        try:
            if not path.is_file():
                raise ValueError("it is not a file")
            entry = json.loads(path.read_bytes())
            if entry["sha256"] != _digest([entry["made_from"], entry["result"]]):
                raise ValueError("its checksum is wrong")
            return with_nan(entry["result"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            logger.warning("%s cannot be used (%s): %s is computed again", path, error, name)
            return None

    def keep(self, name: str, made_from: Mapping[str, Any], result: Any, part: str) -> None:
        """Keep a result, with NaN as null.

        Args:
            name: Name of the part, for the file name.
            made_from: Everything that determines the result, as a JSON object.
            result: The result, of values that JSON has.
            part: What such parts are, in the plural, such as ``folds``.

        Raises:
            UnwritableError: The folder cannot be written, or the disk is full.
        """
        path = self._path(name, made_from)
        if path is None or (os.path.lexists(path) and not path.is_file()):
            return
        content = [json.loads(json.dumps(part)) for part in (made_from, without_nan(result))]
        entry = {"made_from": content[0], "result": content[1], "sha256": _digest(content)}
        # The step comes first: of a process that is killed in between, the file tells what is kept.
        self.count({"file": path.name, "part": part})
        try:
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
        except UnwritableError as error:
            if error.errno != errno.ENOENT:  # else another run is writing the same result
                raise

    def count(self, step: Step) -> None:
        """Append a step to the file of steps.

        Raises:
            UnwritableError: The folder cannot be written, or the disk is full.
        """
        if self.steps is None:
            return
        with naming(self.steps, everything=True):
            self.steps.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(self.steps, flags, 0o644)
            try:
                if "due" in step and os.fstat(descriptor).st_size > _MOST_STEPS_BYTES:
                    os.ftruncate(descriptor, 0)
                write_whole(descriptor, (json.dumps(step) + "\n").encode())
            finally:
                os.close(descriptor)

    def _path(self, name: str, made_from: Mapping[str, Any]) -> Path | None:
        if self.folder is None:
            return None
        words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        return self.folder / f"{words}-{_digest(made_from)[:_DIGITS]}.json"


NOTHING_KEPT = Finished(None)
"""Keeps and counts nothing."""


def _digest(document: object) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
