"""The report page of ``ingest``: from labels to rows, what the clips are, what to check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from k150k_pipeline.plural import counted, have
from k150k_pipeline.reports.failures import failure_blocks
from k150k_pipeline.reports.page import (
    Block,
    Drawing,
    Facts,
    Page,
    Sum,
    Table,
    Text,
    Tile,
    Tiles,
    Value,
    duration,
    few,
    page_of_run,
    parameters_table,
)

FIGURES = (
    "attrition", "failures", "mos", "votes", "opinions",
    "sizes", "bytes", "bitrate", "framerate", "codec", "length",
)  # fmt: skip
"""Names of the figures of the page."""

_MOST_BARS = 12
_MOST_GROUPS = 20
_NUMBERS = (
    "src_size_bytes", "width", "height", "framerate", "duration_s", "mos", "mos_std_dev",
    "n_ratings",
)  # fmt: skip
_PARTS = {
    "download_failed": "whose download failed",
    "broken_clips": "whose clip is broken",
    "labels_without_clip": "without a clip",
    "not_yet_tried": "not yet tried",
}
_TEXTS = ("src", "encoder_upstream", "pix_fmt")
_CHECK = {
    "labels_without_clip": "labels without a clip file",
    "clips_without_label": "clip files without a label",
    "bad_rows": "table rows left out",
    "repeated_rows": "clips that a table names again with the same MOS",
    "disagreements": "clips whose votes do not have their MOS as mean",
    "vote_problems": "vote rows left out",
    "completeness_unknown": "clips of which it is unknown whether they are whole",
    "dropped_rows": "rows of the earlier corpus that are not in it any more",
    "broken_lines": "journal lines that cannot be read",
}


@dataclass(frozen=True)
class Ingested:
    """What an ingestion has made, as its page needs it.

    Attributes:
        report: The report of the run.
        frame: The rows of the corpus; 0 and empty text are unknown there.
        failed: First names of the clips that failed, by stage and reason.
        parameters: Block ``ingest``.
    """

    report: Facts
    frame: pd.DataFrame
    failed: Mapping[str, Sequence[str]]
    parameters: Facts


def corpus_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return corpus rows as a table of the columns that the page needs; 0 becomes NaN."""
    # Names need not be UTF-8, so they are objects, not the strings of pandas.
    cells = {name: [row.get(name) for row in rows] for name in (*_TEXTS, *_NUMBERS)}
    frame = pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in cells.items()})
    for name in _NUMBERS:
        values = pd.to_numeric(frame[name], errors="coerce").astype(float)
        frame[name] = values if name == "mos_std_dev" else values.where(values > 0)
    frame["kbps"] = frame["src_size_bytes"] * 8 / 1000 / frame["duration_s"]
    return frame


def ingest_page(made: Ingested) -> Page:
    """Return the page of an ingestion; a part that cannot be made says so."""
    report = made.report
    parts = {
        "From label to row": _attrition,
        "Failures and what to check": _failures,
        "MOS and votes": _opinions,
        "Clips": _clips,
        "Duplicates": _duplicates,
        "Parameters and versions": _origin,
    }
    return page_of_run(
        f"Corpus {report['corpus']}",
        "ingest",
        report,
        {title: partial(part, made) for title, part in parts.items()},
    )


def _attrition(made: Ingested) -> Iterator[Block]:
    from k150k_pipeline.reports import figures

    report, counts = made.report, made.report["counts"]
    rows, wanted = counts["rows"], counts["wanted"]
    yield Text(f"{rows:,} of {counted(wanted, 'label')} {have(rows)} a row.", strong=True)
    parts = [(what, counts[name]) for name, what in _PARTS.items()]
    yield Sum(("labels", wanted), [("with a row", rows), *parts])
    yield Tiles([
        Tile("This run", *duration(report["finished_at"] - report["started_at"]),
             f"for {counted(counts['newly_finished'], 'clip')}"),
        Tile("Rate of this run", report["clips_per_second"], "clips/s"),
        Tile("Downloads that failed", 100 * report["attrition"], "%", "of labels with an address"),
        Tile("Table rows left out", counts["bad_rows"]),
        Tile("Clip files without a label", counts["clips_without_label"]),
        Tile("Vote rows left out", counts["bad_votes"]),
    ])  # fmt: skip
    left, steps = wanted, {"labels": wanted}
    for what, lost in (
        ("with a file or an address", "labels_without_clip"),
        ("tried", "not_yet_tried"),
        ("downloaded or there", "download_failed"),
        ("sound, so with a row", "broken_clips"),
    ):
        left -= counts[lost]
        steps[what] = left
    yield Drawing(
        "attrition", "From label to row",
        "Each bar is how many labels are left after a step; a shorter bar than the one above it "
        "shows a loss.",
        figures.bars(steps, "labels"), wide=True,
    )  # fmt: skip


def _failures(made: Ingested) -> Iterator[Block]:
    return failure_blocks(made.report, made.failed, _CHECK)


def _opinions(made: Ingested) -> Iterator[Block]:
    from k150k_pipeline.reports import figures

    frame = made.frame
    yield Drawing(
        "mos", "MOS of the clips with a row",
        "Each bar is how many clips have this mean opinion score; 1 is bad and 5 is excellent.",
        figures.histogram(frame["mos"], "MOS (1 to 5)"),
    )  # fmt: skip
    yield Drawing(
        "votes", "Votes per clip",
        "Each bar is how many clips have so many votes; clips of unknown number are left out.",
        figures.histogram(frame["n_ratings"], "votes"),
    )  # fmt: skip
    several = frame[frame["n_ratings"] >= 2]
    yield Drawing(
        "opinions", "Disagreement of the votes against MOS",
        "The stronger the colour of a cell, the more clips it has. Votes can disagree most in the "
        "middle of the scale, so the cells form an arch. Clips with fewer than two votes are left "
        "out.",
        figures.density(several["mos"], several["mos_std_dev"], "MOS (1 to 5)", "SD of the votes"),
        wide=True,
    )  # fmt: skip


def _clips(made: Ingested) -> Iterator[Block]:
    from k150k_pipeline.reports import figures

    frame = made.frame
    known = frame[np.isfinite(frame["width"]) & np.isfinite(frame["height"])]
    sizes = [f"{w:.0f}x{h:.0f}" for w, h in zip(known["width"], known["height"], strict=True)]
    counted = "Each bar is how many clips have it; clips of which it is unknown are left out."
    yield Drawing("sizes", "Picture size", counted, figures.bars(_most(sizes), "clips"))
    codecs = [f"{c} {p}".strip() for c, p in zip(frame["encoder_upstream"], frame["pix_fmt"],
                                                 strict=True) if c]  # fmt: skip
    yield Drawing("codec", "Codec and pixel format", counted, figures.bars(_most(codecs), "clips"))
    spread = (
        "Each bar is how many clips have a value of that size. The last bar has all larger ones."
    )
    for name, title, values, unit in (
        ("length", "Length", frame["duration_s"], "seconds"),
        ("framerate", "Frame rate", frame["framerate"], "frames per second"),
        ("bytes", "File size", frame["src_size_bytes"] / 1e6, "MB"),
        ("bitrate", "Bitrate", frame["kbps"], "kbit/s"),
    ):
        yield Drawing(name, title, spread, figures.histogram(values, unit, share=0.995))


def _most(values: Sequence[str]) -> dict[str, int]:
    """Return the most frequent values with their counts, and how many clips have others."""
    ranked = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    found = dict(ranked[:_MOST_BARS])
    if rest := sum(count for _, count in ranked[_MOST_BARS:]):
        found["other"] = rest
    return found


def _duplicates(made: Ingested) -> Iterator[Block]:
    groups = made.report["same_content"]
    clips = sum(map(len, groups))
    yield Text(
        f"{clips:,} clips in {counted(len(groups), 'group')} have equal bytes. Each keeps its row "
        "and its label; mos_head puts a group into one fold."
        if groups
        else "No two clips have equal bytes."
    )
    if groups:
        rows: list[list[Value]] = [[len(group), few(group)] for group in groups[:_MOST_GROUPS]]
        yield Table("Groups with equal bytes", ["Clips", "Names"], rows, wide=True)


def _origin(made: Ingested) -> Iterator[Block]:
    probing = made.report["probing"]
    yield Table("Probing", ["What", "Value"], [[key, str(v)] for key, v in probing.items()])
    yield parameters_table({"ingest": made.parameters})
