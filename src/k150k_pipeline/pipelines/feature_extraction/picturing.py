"""The report page of an extraction, drawn from its files after they are saved."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.precedence import RowChoice
from k150k_pipeline.pipelines.clipwise import Report, facts_of_page
from k150k_pipeline.reports import Page, published
from k150k_pipeline.reports.extract import FIGURES, Extracted, extract_page
from k150k_pipeline.schemas.parameters import ExtractParameters, VmafParameters

CLIPS_ON_PAGE = 2**18
"""Clips that the figures of a page are of; of a larger table they are rows spread evenly."""

if TYPE_CHECKING:
    from plotly.graph_objects import Figure  # imported where a figure is made


def draw(
    report: Report,
    table: pa.Table,
    journal: Journal,
    extract: ExtractParameters,
    vmaf: VmafParameters,
) -> tuple[str, list[Figure]]:
    """Return the page of an extraction, and its figures in the order of ``FIGURES``.

    Args:
        report: Report of the run, with ``failed_clips``.
        table: The features, as they are on the disk, or rows spread evenly over them.
        journal: Journal of the run, for the time that each clip took.
        extract: Block ``extract``.
        vmaf: Block ``vmaf``.
    """
    facts, failed = facts_of_page(report)
    blocks = {"extract": extract.model_dump(mode="json"), "vmaf": vmaf.model_dump(mode="json")}

    def make() -> Page:
        frame = table.to_pandas()
        times = row_times(journal, report, set(frame["clip_name"]))
        return extract_page(Extracted(facts, frame, times, failed, blocks))

    return published(f"Features of {report['corpus']}", make, FIGURES)


def row_times(journal: Journal, report: Report, names: Collection[str]) -> pd.DataFrame:
    """Return when the row of each clip was finished and the seconds that it took.

    Rows that were taken over took no time here and are left out.

    Args:
        journal: The journal.
        report: Report of the run.
        names: The clips.

    Returns:
        Columns ``clip``, ``at`` (seconds since the epoch) and ``seconds``.
    """
    choice = RowChoice(report["fingerprint"], report["rows_scored_with"])
    found: dict[str, tuple[float, float]] = {}
    for entry in journal.entries():
        if entry.failure is not None or entry.clip not in names:
            continue
        if choice.takes(entry.clip, entry.fingerprint):
            found[entry.clip] = entry.at, entry.seconds
    rows = [(clip, at, seconds) for clip, (at, seconds) in found.items() if seconds > 0]
    return pd.DataFrame(rows, columns=["clip", "at", "seconds"])
