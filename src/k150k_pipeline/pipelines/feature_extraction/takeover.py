"""Rows that are not in the journal yet, from the staging file and the parquet."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from k150k_pipeline.durable import replacing
from k150k_pipeline.errors import InputError
from k150k_pipeline.journal import Entry, Journal
from k150k_pipeline.journal.handle import TAKEN_OVER
from k150k_pipeline.journal.records import encode_entry, encode_header
from k150k_pipeline.pipelines.feature_extraction.foreign_files import ForeignFile, read_foreign
from k150k_pipeline.pipelines.feature_extraction.foreign_rows import name_columns
from k150k_pipeline.pipelines.feature_extraction.outputs import is_row
from k150k_pipeline.schemas.parameters import ExtractParameters

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TakenOver:
    """What was taken over.

    Attributes:
        rows: Number of rows that were new to the journal.
        left: Clips whose rows stay in the files, because they do not fit.
    """

    rows: int = 0
    left: Collection[str] = ()


def take_over(journal: Journal, extract: ExtractParameters) -> TakenOver:
    """Add the rows in the files beside the output that are not in the journal yet.

    The older script's parquet and ``.rows.jsonl`` are always taken over. A parquet of this
    package is taken over only if the journal is lost.

    Raises:
        InputError: A file has rows that do not fit, and ``extract.legacy`` does not say to take
            over the others.
    """
    if extract.legacy == "ignore":
        return TakenOver()
    files = read_foreign(journal, extract.metadata_columns)
    for file in files:
        if file.misfits and extract.legacy == "take_over":
            raise InputError(_refusal(file))
    recovered = sum(_add_all(journal, file) for file in files)
    if recovered:
        logger.warning("Took over %d rows from the files beside %s", recovered, journal.output)
    for file in files:
        _report(file)
    return TakenOver(recovered, {clip for file in files for clip in file.misfit_clips})


def _refusal(file: ForeignFile) -> str:
    return (
        f"{file.path} was not written by this package, and {file.misfits} of its {file.rows} rows "
        f"(such as that of {next(iter(file.misfit_clips))}) do not fit its columns "
        f"({name_columns(file.reasons)}): give this run another output and journal (--params "
        "out=…,journal=…), move the file to another folder, or take over what fits, keep the file "
        f"as {file.path.name}.original and score the other clips "
        "(extract.legacy=take_over_what_fits)"
    )


def _report(file: ForeignFile) -> None:
    if file.misfits:
        logger.warning(
            "%s: %d of %d rows do not fit and are not used (%s)",
            file.path, file.misfits, file.rows, name_columns(file.reasons),
        )  # fmt: skip
    if file.unreadable:
        logger.warning("%s: %d lines cannot be read", file.path, file.unreadable)


def _add_all(journal: Journal, file: ForeignFile) -> int:
    return sum(
        _add(journal, key, file.scored_with[key], payloads)
        for key, payloads in file.fitting.items()
    )


def _add(
    journal: Journal, key: str, scoring: Mapping[str, Any], payloads: Mapping[str, bytes]
) -> int:
    known = {entry.clip for entry in journal.entries(check=is_row) if entry.failure is None}
    new = {clip: payload for clip, payload in payloads.items() if clip not in known}
    if new:
        _write(journal, key, scoring, new)
    return len(new)


def _write(
    journal: Journal, key: str, scoring: Mapping[str, Any], payloads: Mapping[str, bytes]
) -> None:
    """Add rows to the journal, all or none, as one file."""
    # Its name is never the same, so nothing else removes what a killed run left of it.
    for stale in journal.folder.glob(f".{TAKEN_OVER}*.tmp"):
        stale.unlink(missing_ok=True)
    path = journal.folder / f"{TAKEN_OVER}{time.time_ns()}.jsonl"
    header = encode_header(key, dict(scoring), {"host": socket.gethostname()})
    now = time.time()
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(header)
        for clip, payload in payloads.items():
            file.write(encode_entry(Entry(clip, key, 1, now, 0.0, payload, None)))
