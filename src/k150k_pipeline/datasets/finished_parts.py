"""The dataset of the finished parts of a run, such as folds."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from k150k_pipeline.datasets.previews import JSONPreview
from k150k_pipeline.mos.finished import Finished
from k150k_pipeline.storage import place_on_disk


class FinishedPartsDataset(AbstractDataset[Any, Finished]):
    """A folder of results that no run computes twice, loaded as :class:`Finished`."""

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = place_on_disk(path)
        self.metadata = metadata

    @property
    def finished(self) -> Finished:
        """The finished parts."""
        return Finished(self._folder)

    def load(self) -> Finished:
        """Return the finished parts; the folder need not exist yet."""
        return self.finished

    def save(self, data: Any) -> NoReturn:  # noqa: ARG002 - Kedro's signature
        """Refuse: parts are added one by one."""
        raise DatasetError(
            f"the folder {self._folder} is not saved as a whole: add parts with Finished.keep"
        )

    def preview(self) -> JSONPreview:
        """Return the number of files, for kedro-viz."""
        return JSONPreview(json.dumps({"files": len(list(self._folder.glob("[!.]*.json")))}))

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder)}

    def _exists(self) -> bool:
        return True
