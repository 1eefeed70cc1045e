"""A folder that users fill, such as a corpus as it was downloaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from k150k_pipeline.datasets.previews import JSONPreview
from k150k_pipeline.durable import write_text


class FolderDataset(AbstractDataset[Mapping[str, str], Path]):
    """Loads as the path of a folder; saving writes small text files into it."""

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(path)
        self.metadata = metadata

    def load(self) -> Path:
        """Return the path; whether the folder is there is for its reader to check."""
        return self._folder

    def save(self, data: Mapping[str, str]) -> None:
        """Write texts by file name."""
        for name, text in data.items():
            write_text(self._folder / name, text)

    def preview(self) -> JSONPreview:
        """Return what the folder holds, for kedro-viz."""
        return JSONPreview(json.dumps(sorted(path.name for path in self._folder.glob("[!.]*"))))

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder)}

    def _exists(self) -> bool:
        return self._folder.is_dir()
