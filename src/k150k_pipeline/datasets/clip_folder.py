"""A folder of video clips."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from k150k_pipeline.datasets.previews import JSONPreview
from k150k_pipeline.datasets.saving import unwritable_as_dataset_error
from k150k_pipeline.durable import replacing
from k150k_pipeline.errors import InputError

_NAMED = 3

ClipMakers = Mapping[str, Callable[[Path], None]]
"""Clip name to a function that writes the clip to a path."""


@dataclass(frozen=True)
class ClipFolder:
    """A folder of clips, which is read only when one of these methods is called.

    Attributes:
        path: The folder.
        suffix: Ending of a clip's file name, or several; other files are not clips.
        more: Further folders of the same corpus; a clip is taken from the first that has it.
    """

    path: Path
    suffix: str | tuple[str, ...] = ".mp4"
    more: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return " or ".join(map(str, (self.path, *self.more)))

    def names(self) -> list[str]:
        """Return the clip file names of all folders that exist, sorted, each once.

        Raises:
            InputError: None of the folders exists, or one cannot be read.
        """
        folders = self._existing()
        if not folders:
            wrong = "is a file, not a folder" if self.path.is_file() else "does not exist"
            raise InputError(
                f"clip folder {self} {wrong}: put the clips there, or name their "
                "folder with --params clips_dir=… or in conf/local/catalog.yml"
            )
        return sorted({name for folder in folders for name in self._list(folder)})

    def describe(self) -> str:
        """Return what the folders hold, for a message about clips that are not found.

        If no clip is in them, but some are in a folder below, that folder is named.
        """
        if names := self.names():
            return f"{self} has {len(names)} clips, such as {', '.join(names[:_NAMED])}"
        endings = ", ".join((self.suffix,) if isinstance(self.suffix, str) else self.suffix)
        below = (f for folder in self._existing() for f in sorted(folder.iterdir()) if f.is_dir())
        with_clips = next((folder for folder in below if self._list(folder)), None)
        if with_clips is None:
            return f"{self} has no clip ({endings}). Name another with --params clips_dir=…"
        return (
            f"{self} has no clip ({endings}), but {with_clips} has some: give that one "
            f"(--params clips_dir={with_clips})"
        )

    def by_stem(self) -> dict[str, str]:
        """Return the clip file names by stem; empty if the folder does not exist.

        Of several clips with one stem, an MP4 counts.
        """
        if not self.path.is_dir():
            return {}
        mp4_last = sorted(self.names(), key=lambda name: name.endswith(".mp4"))
        return {Path(name).stem: name for name in mp4_last}

    def find(self, name: str) -> Path:
        """Return the path of a clip; of one that is in no folder, the path in the first folder."""
        paths = [folder / name for folder in (self.path, *self.more)]
        return next((path for path in paths if path.is_file()), paths[0])

    def _existing(self) -> list[Path]:
        return [folder for folder in (self.path, *self.more) if folder.is_dir()]

    def _list(self, folder: Path) -> list[str]:
        try:
            with os.scandir(folder) as files:
                return [
                    f.name
                    for f in files
                    if f.name.lower().endswith(self.suffix) and not f.name.startswith(".")
                ]
        except PermissionError as error:
            raise InputError(
                f"clip folder {folder} cannot be read ({error.strerror}): change its permissions, "
                "or name another with --params clips_dir=…"
            ) from error


class ClipFolderDataset(AbstractDataset[ClipMakers, ClipFolder]):
    """A folder of clips, loaded as a :class:`ClipFolder`; saving makes the missing clips.

    Args:
        path: The folder.
        suffix: Ending of a clip's file name, or a list of them.
        more: Further folders by any name, each as ``{path: …}``: by this key Kedro recognises
            paths that are relative to the project.
    """

    def __init__(
        self,
        *,
        path: str,
        suffix: str | Sequence[str] = ".mp4",
        more: Mapping[str, Mapping[str, str]] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        further = tuple(Path(folder["path"]) for folder in (more or {}).values())
        endings = suffix if isinstance(suffix, str) else tuple(suffix)
        self._folder = ClipFolder(Path(path), endings, further)
        self.metadata = metadata

    def load(self) -> ClipFolder:
        """Return the folder; whether it exists is checked when it is read."""
        return self._folder

    @unwritable_as_dataset_error()
    def save(self, data: ClipMakers) -> None:
        """Make the missing clips one by one, each atomically."""
        for name, make in data.items():
            target = self._folder.path / name
            if not target.exists():
                with replacing(target) as temporary:
                    make(temporary)

    def preview(self) -> JSONPreview:
        """Return the number of clips and the first names, for kedro-viz."""
        names = self._folder.names()
        return JSONPreview(json.dumps({"clips": len(names), "first": names[:10]}))

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder), "suffix": self._folder.suffix}

    def _exists(self) -> bool:
        return any(folder.is_dir() for folder in (self._folder.path, *self._folder.more))
