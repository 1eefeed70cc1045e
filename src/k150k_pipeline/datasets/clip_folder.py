"""A folder of video clips."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset
from kedro_datasets._typing import JSONPreview

from k150k_pipeline.errors import InputError
from k150k_pipeline.journal.atomic import replacing

ClipMakers = Mapping[str, Callable[[Path], None]]
"""Clip name to a function that writes the clip to a path."""


@dataclass(frozen=True)
class ClipFolder:
    """Handle of a folder of clips; nothing is read until asked for.

    Attributes:
        path: The folder.
        suffix: Ending of a clip's file name; other files are not clips.
    """

    path: Path
    suffix: str = ".mp4"

    def names(self) -> list[str]:
        """Return the clip file names, sorted.

        Raises:
            InputError: There is no such folder.
        """
        try:
            with os.scandir(self.path) as files:
                return sorted(
                    f.name
                    for f in files
                    if f.name.lower().endswith(self.suffix) and not f.name.startswith(".")
                )
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(
                f"clip folder {self.path} does not exist: put the clips there, or name their "
                "folder with --params clips_dir=… or in conf/local/catalog.yml"
            ) from error


class ClipFolderDataset(AbstractDataset[ClipMakers, ClipFolder]):
    """A folder of clips: loads as a handle; saving makes the clips that are not there yet."""

    def __init__(
        self, *, path: str, suffix: str = ".mp4", metadata: dict[str, Any] | None = None
    ) -> None:
        self._folder = ClipFolder(Path(path), suffix)
        self.metadata = metadata

    def load(self) -> ClipFolder:
        """Return the handle."""
        return self._folder

    def save(self, data: ClipMakers) -> None:
        """Make the missing clips one by one, each whole or not at all."""
        for name, make in data.items():
            target = self._folder.path / name
            if not target.exists():
                with replacing(target) as temporary:
                    make(temporary)

    def preview(self) -> JSONPreview:
        """Return how many clips there are, and the first names, for kedro-viz."""
        names = self._folder.names()
        return JSONPreview(json.dumps({"clips": len(names), "first": names[:10]}))

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder.path), "suffix": self._folder.suffix}

    def _exists(self) -> bool:
        return self._folder.path.is_dir()
