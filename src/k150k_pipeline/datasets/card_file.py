"""The data card beside a features table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import DatasetError

from k150k_pipeline.datasets.atomic import AtomicFileDataset
from k150k_pipeline.datasets.saving import current, keep_foreign, unwritable_as_dataset_error
from k150k_pipeline.durable import write_text
from k150k_pipeline.storage import place

_MADE = "<!-- Made by k150k-pipeline: every extract run writes it anew. -->\n\n"


class DataCardDataset(AtomicFileDataset):
    """A Markdown file beside a features table, ``.data_card.md`` in place of its suffix.

    Args:
        filepath: Path of the features table.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        path = place(filepath)
        super().__init__(
            filepath=str(path.with_name(f"{path.stem}.data_card.md")), metadata=metadata
        )

    def load(self) -> str:
        """Return the card.

        Raises:
            DatasetError: The file does not exist, or is not UTF-8.
        """
        try:
            return current(self._filepath).read_text("utf-8").removeprefix(_MADE)
        except FileNotFoundError as error:
            raise DatasetError(
                f"{self._filepath} does not exist: --pipelines=extract makes it"
            ) from error
        except ValueError as error:
            raise DatasetError(
                f"{self._filepath} is not UTF-8 ({error}): --pipelines=extract makes it anew"
            ) from error

    @unwritable_as_dataset_error()
    def save(self, data: str) -> None:
        """Replace the file; one that this package did not write is kept under another name."""
        keep_foreign(self._filepath, _is_ours)
        write_text(self._filepath, _MADE + data)


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MADE)) == _MADE.encode()
