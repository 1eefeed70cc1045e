"""The files of the older ``extract_k150k_features.py``, and the fingerprints of their rows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from k150k_pipeline.durable import replacing

# These texts are in existing parquet files and journals, so they must not change.
FINGERPRINT = "legacy"
SCORING = {"engine": "older script (spec 000)", "version": "unknown", "plan": "unknown"}

NEWER_FINGERPRINT = "legacy-57-columns"
NEWER_SCORING = {
    "engine": "older script (57 columns)",
    "version": "unknown",
    "plan": "unknown",
    "ssimulacra2": "set to that of an identity pair",
}

FINGERPRINTS = frozenset({FINGERPRINT, NEWER_FINGERPRINT})
"""Fingerprints of the rows of both forms of the script."""


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
        with (
            replacing(self.done_path) as temporary,
            temporary.open("w", encoding="utf-8") as file,
        ):
            file.writelines(f"{clip}\n" for clip in clips)

    def staging(self) -> list[Path]:
        """Return the staging files that exist."""
        return [path for path in dict.fromkeys(self.rows_paths) if path.is_file()]
