"""The pages of reports, and the figures on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k150k_pipeline.datasets.atomic import AtomicFileDataset
from k150k_pipeline.datasets.loading import unreadable_as_dataset_error
from k150k_pipeline.datasets.previews import NOT_MADE, JSONPreview, PlotlyPreview
from k150k_pipeline.datasets.saving import current, keep_foreign, unwritable_as_dataset_error
from k150k_pipeline.durable import lock_of, write_text
from k150k_pipeline.reports.page import MADE
from k150k_pipeline.storage import place

if TYPE_CHECKING:
    from plotly.graph_objects import Figure  # imported where a figure is made or read

_HEAD_BYTES = 256


class ReportPageDataset(AtomicFileDataset):
    """An HTML file that needs nothing else, for a browser.

    Args:
        filepath: Path of the report JSON, beside which the page is, with ``.html`` as suffix.

    Attributes:
        report: Path of the report JSON.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        page = place(filepath).with_suffix(".html")
        super().__init__(filepath=str(page), metadata=metadata)
        self.report = self._filepath.with_suffix(place(filepath).suffix)

    def load(self) -> str:
        """Return the HTML.

        Raises:
            DatasetError: The file does not exist, or is not UTF-8.
        """
        with unreadable_as_dataset_error(self._filepath, "UTF-8"):
            return current(self._filepath).read_text("utf-8")

    @unwritable_as_dataset_error()
    def save(self, data: str) -> None:
        """Replace the file; one that this package did not write is kept under another name."""
        keep_foreign(self._filepath, _is_ours)
        write_text(self._filepath, data)

    def preview(self) -> JSONPreview:
        """Return where the page is, for kedro-viz, which shows no HTML."""
        if not self._exists():
            return JSONPreview(json.dumps({NOT_MADE: str(self._filepath)}))
        size = self._filepath.stat().st_size
        return JSONPreview(json.dumps({"open in a browser": str(self._filepath), "bytes": size}))


class AtomicPlotlyDataset(AtomicFileDataset):
    """A plotly figure of a report, as JSON.

    Args:
        filepath: Path of the report JSON; its figures are in a folder beside it.
        figure: Name of the figure.
    """

    def __init__(
        self, *, filepath: str, figure: str, metadata: dict[str, Any] | None = None
    ) -> None:
        self._report = place(filepath)
        folder = self._report.with_name(f"{self._report.stem}_figures")
        super().__init__(filepath=str(folder / f"{figure}.json"), metadata=metadata)

    @property
    def lock_path(self) -> Path:
        """Path of the lock of the report, which protects its figures too."""
        return lock_of(self._report)

    def load(self) -> Figure:
        """Return the figure.

        Raises:
            DatasetError: The file does not exist, or is not a figure.
        """
        from plotly.io import from_json

        with unreadable_as_dataset_error(self._filepath, "a figure of plotly"):
            return from_json(current(self._filepath).read_text("utf-8"))

    @unwritable_as_dataset_error()
    def save(self, data: Figure) -> None:
        """Replace the file; the same figure gives the same bytes."""
        # The standard library's writer: which other one there is depends on the machine.
        write_text(self._filepath, data.to_json(engine="json") + "\n")

    def preview(self) -> PlotlyPreview:
        """Return the figure for kedro-viz."""
        if not self._exists():
            return PlotlyPreview({"data": [], "layout": {"title": {"text": NOT_MADE}}})
        from k150k_pipeline.reports.figures import one_at_a_time

        return PlotlyPreview(one_at_a_time(json.loads(self._filepath.read_text("utf-8"))))


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return MADE.encode() in file.read(_HEAD_BYTES)
