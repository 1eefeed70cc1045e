"""The dataset of a journal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from k150k_pipeline.datasets.previews import JSONPreview
from k150k_pipeline.errors import JournalError
from k150k_pipeline.journal import Journal
from k150k_pipeline.storage import in_words, place


class JournalDataset(AbstractDataset[Any, Journal]):
    """An append-only journal, loaded as a :class:`Journal`, through which shards write.

    Args:
        path: Folder of the journal.
        output: The file derived from it, as ``{filepath: …}``: by this key Kedro recognises paths
            that are relative to the project.
        also: Names of journals beside it whose finished clips count for this output too.
    """

    def __init__(
        self,
        *,
        path: str,
        output: Mapping[str, str],
        also: Sequence[str] = (),
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._folder = place(path)
        self._output = place(output["filepath"])
        self._also = tuple(self._folder.with_name(name) for name in also)
        self.metadata = metadata

    @property
    def journal(self) -> Journal:
        """The journal."""
        return Journal(self._folder, self._output, self._also)

    @property
    def lock_path(self) -> Path:
        """Path of the lock that a run holds while it writes to the journal."""
        return self._folder / "run.lock"

    def load(self) -> Journal:
        """Return the journal; its folder need not exist yet."""
        return self.journal

    def save(self, data: Any) -> NoReturn:  # noqa: ARG002 - Kedro's signature
        """Refuse: a journal is appended to, never replaced."""
        raise DatasetError(
            f"the journal {self._folder} is not saved as a whole: append lines with Journal.writer"
        )

    def preview(self) -> JSONPreview:
        """Return the number of files, and what the last run was to do, for kedro-viz."""
        try:
            run: object = self.journal.announced()
        except JournalError as error:
            run = str(error)
        contents = {"files": len(self.journal.files()), "run": run}
        return JSONPreview(json.dumps(contents))

    def _describe(self) -> dict[str, Any]:
        return {"path": in_words(str(self._folder)), "output": in_words(str(self._output))}

    def _exists(self) -> bool:
        return True
