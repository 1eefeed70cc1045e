"""A folder that users fill, such as a drop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from k150k_pipeline.datasets.previews import JSONPreview
from k150k_pipeline.datasets.saving import unwritable_as_dataset_error
from k150k_pipeline.durable import write_text
from k150k_pipeline.storage import in_words, place


class FolderDataset(AbstractDataset[Mapping[str, str], Path]):
    """A folder, loaded as its path; saving writes small text files into it."""

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = place(path)
        self.metadata = metadata

    def load(self) -> Path:
        """Return the path; whether the folder exists is not checked."""
        return self._folder

    @unwritable_as_dataset_error()
    def save(self, data: Mapping[str, str]) -> None:
        """Write the texts to files of these names."""
        for name, text in data.items():
            write_text(self._folder / name, text)

    def preview(self) -> JSONPreview:
        """Return the file names in the folder, for kedro-viz."""
        return JSONPreview(json.dumps(sorted(path.name for path in self._folder.glob("[!.]*"))))

    def _describe(self) -> dict[str, Any]:
        return {"path": in_words(str(self._folder))}

    def _exists(self) -> bool:
        return self._folder.is_dir()
