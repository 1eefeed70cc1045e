"""The checkpoint of the older ``extract_k150k_features.py``: ``.done`` and ``.rows.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from k150k_pipeline.durable import write_text

FINGERPRINT = "legacy"
# These texts are in existing parquet files and journals, so they must not change.
SCORING = {"engine": "older script (spec 000)", "version": "unknown", "plan": "unknown"}


class LegacyFiles:
    """The files that the older script keeps beside its output.

    Args:
        output: The features parquet.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.done_path = output.with_suffix(".done")
        self.rows_paths = (
            output.with_name(output.name + ".rows.jsonl"),
            output.with_suffix(".rows.jsonl"),
        )

    def done(self) -> list[str]:
        """Return the clips that ``.done`` lists; none if there is no such file."""
        try:
            lines = self.done_path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))

    def write_done(self, clips: Iterable[str]) -> None:
        """Replace ``.done`` by these clips, one per line, atomically."""
        write_text(self.done_path, "".join(f"{clip}\n" for clip in clips))

    def staged_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the staging file; a torn or broken line is passed over.

        The clip of a broken line is in ``.done`` without a row, for which a run is refused, so a
        lost row is noticed.
        """
        for path in self.rows_paths:
            if path.is_file():
                yield from _rows(path)

    def drop_staging(self) -> None:
        """Remove the staging file; call this once its rows are in a durable parquet."""
        for path in self.rows_paths:
            path.unlink(missing_ok=True)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("r", encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                yield row
