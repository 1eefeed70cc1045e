"""The report page of ``extract``: what came out, how long it took, what failed, what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from platform import python_version
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from k150k_pipeline.mos.table import uninformative
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
    duration,
    of_tried,
    page_of_run,
    parameters_table,
)
from k150k_pipeline.schemas.feature_notes import FEATURE_NOTES
from k150k_pipeline.schemas.features import VALUE_COLUMNS

FIGURES = ("rate", "seconds", "failures", "mos", "features", "features_mos")
"""Names of the figures of the page."""

Floats = npt.NDArray[np.float64]

_SLOWEST = 10
_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
_CELLS = 36
_PACKAGES = ("kedro", "numpy", "pandas", "pyarrow", "av", "imageio-ffmpeg")
_CHECK = {
    "labels_without_clip": "labels without a clip file",
    "clips_without_label": "clip files without a label",
    "bad_labels": "label rows left out",
    "changed_clips": "clips that are not the files of their rows",
    "completeness_unknown": "clips of which it is unknown whether they are whole",
    "broken_lines": "journal lines that cannot be read",
}


@dataclass(frozen=True)
class Extracted:
    """What an extraction has made, as its page needs it.

    Attributes:
        report: The report of the run.
        frame: The features table: ``clip_name``, ``mos``, width, height and the 44 values; or rows
            spread evenly over it.
        times: ``at`` (seconds since the epoch) and ``seconds`` by clip, of rows that record them.
        failed: Names of the clips that failed, by reason.
        parameters: Parameter blocks of the run by name.
    """

    report: Facts
    frame: pd.DataFrame
    times: pd.DataFrame
    failed: Mapping[str, Sequence[str]]
    parameters: Facts

    @property
    def weight(self) -> float:
        """Rows of the table for each row of the frame."""
        rows: int = self.report["counts"]["rows"]
        return max(rows / max(len(self.frame), 1), 1.0)

    @cached_property
    def numbers(self) -> dict[str, dict[str, float | None]]:
        """What :func:`quantiles` returns of the columns that differ between clips, in order."""
        return quantiles(self.frame, [c for c in VALUE_COLUMNS if c not in self.left_out])

    @cached_property
    def left_out(self) -> dict[str, str]:
        """The columns that do not differ between clips, with the reason."""
        return uninformative(self.frame, VALUE_COLUMNS)


def extract_page(made: Extracted) -> Page:
    """Return the page of an extraction; a part that cannot be made says so."""
    report = made.report
    parts = {
        "Clips": _clips,
        "Time": _time,
        "Failures and what to check": _failures,
        "MOS": _mos,
        "Features": _features,
        "Features against MOS": _against_mos,
        "Engine, parameters, versions": _origin,
    }
    page = page_of_run(
        f"Features of {report['corpus']}",
        "extract",
        report,
        {title: partial(part, made) for title, part in parts.items()},
    )
    return replace(page, facts={**page.facts, **_facts(made)})


def quantiles(frame: pd.DataFrame, columns: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Return lowest, 5 %, median, 95 % and highest value of columns, and Spearman with the MOS."""
    ranks = frame["mos"].rank()
    return {column: _describe(frame[column], ranks) for column in columns}


def _describe(values: pd.Series[Any], mos_ranks: pd.Series[Any]) -> dict[str, float | None]:
    finite = values[np.isfinite(values)]
    names = ("lowest", "5 %", "median", "95 %", "highest")
    found = finite.quantile(list(_QUANTILES)) if len(finite) else [None] * len(names)
    return {**dict(zip(names, map(_number, found), strict=True)), "spearman": _spearman(
        values, mos_ranks
    )}  # fmt: skip


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _spearman(values: pd.Series[Any], mos_ranks: pd.Series[Any]) -> float | None:
    """Return Spearman's coefficient over the rows that have both; None if it is undefined."""
    both = np.isfinite(values) & np.isfinite(mos_ranks)
    first, second = values[both].rank(), mos_ranks[both].rank()
    if len(first) < 2 or first.nunique() < 2 or second.nunique() < 2:
        return None
    return round(float(np.corrcoef(first, second)[0, 1]), 4)


def _facts(made: Extracted) -> dict[str, Any]:
    try:
        return {"features": made.numbers}
    except Exception:  # the sections that need them say why
        return {}


def _clips(made: Extracted) -> Iterator[Block]:
    counts = made.report["counts"]
    yield Text(
        f"{counts['rows']:,} of {counts['wanted']:,} clips with a label {have(counts['rows'])} a "
        f"row; {of_tried(made.report)}.",
        strong=True,
    )
    if made.weight > 1:
        yield Text(
            f"Figures and tables of features, MOS and times are of {len(made.frame):,} rows, "
            "spread evenly over the table by name."
        )
    parts = [(name.replace("_", " "), counts[name]) for name in ("failed", "not_yet_tried")]
    yield Sum(("clips with a label", counts["wanted"]), [("with a row", counts["rows"]), *parts])
    before, new = counts["done_before"], counts["newly_finished"]
    earlier = [("from before", before), ("finished in this run", new)]
    if elsewhere := counts["rows"] - before - new:
        earlier.append(("finished meanwhile by a run on part of the corpus", elsewhere))
    yield Sum(("rows", counts["rows"]), earlier)
    yield Tiles([
        Tile("Labels without a clip file", counts["labels_without_clip"]),
        Tile("Clip files without a label", counts["clips_without_label"]),
        Tile("Label rows left out", counts["bad_labels"]),
        Tile("Rows taken over", counts["recovered"], note="from the older script or a parquet"),
        Tile("Clips changed since they were scored", counts["changed_clips"]),
        Tile("Clips killed each time", counts["killed"]),
    ])  # fmt: skip


def _time(made: Extracted) -> Iterator[Block]:
    from k150k_pipeline.reports import figures

    report, times = made.report, made.times
    new = report["counts"]["newly_finished"]
    wall = report["finished_at"] - report["started_at"]
    seconds = times["seconds"].to_numpy(dtype=float)
    half, most = np.quantile(seconds, [0.5, 0.95]) if len(seconds) else (None, None)
    yield Tiles([
        Tile("This run", *duration(wall), f"for {counted(new, 'clip')}"),
        Tile("Rate of this run", report["clips_per_second"], "clips/s"),
        Tile("Median of a clip", _number(half), "seconds", "on one core or more"),
        Tile("95 % of the clips within", _number(most), "seconds"),
        Tile(
            "Work in all",
            *duration(float(seconds.sum()) * made.weight),
            f"on {counted(round(len(seconds) * made.weight), 'clip')}",
        ),
    ])  # fmt: skip
    yield Drawing(
        "rate", "Rate over time",
        "Height is how fast clips were finished, over all runs in the journal. A dotted line is a "
        "pause of more than ten minutes, which is left out.",
        figures.rate(times["at"], seconds, made.weight),
    )  # fmt: skip
    yield Drawing(
        "seconds", "Time per clip",
        "Each bar is how many clips took so long, from the start of probing to the line in the "
        "journal. The last bar has all slower ones.",
        figures.histogram(seconds, "seconds per clip", share=0.995),
    )  # fmt: skip
    slowest = times.sort_values(["seconds", "clip"], ascending=[False, True]).head(_SLOWEST)
    yield Table("Slowest clips", ["Clip", "Seconds"], slowest[["clip", "seconds"]].values.tolist())


def _failures(made: Extracted) -> Iterator[Block]:
    return failure_blocks(made.report, made.failed, _CHECK)


def _mos(made: Extracted) -> Iterator[Block]:
    from k150k_pipeline.reports import figures

    mos = figures.finite_of(made.frame["mos"])
    ends = [float(mos.min()), float(np.median(mos)), float(mos.max())] if len(mos) else [None] * 3
    names = ("Lowest MOS", "Median MOS", "Highest MOS")
    yield Tiles([Tile(name, end, "(1 to 5)") for name, end in zip(names, ends, strict=True)])
    yield Drawing(
        "mos", "MOS of the clips with a row",
        "Each bar is how many clips have this mean opinion score; 1 is bad and 5 is excellent.",
        figures.histogram(mos, "MOS (1 to 5)"), wide=True,
    )  # fmt: skip


def _features(made: Extracted) -> Iterator[Block]:
    from k150k_pipeline.reports import figures

    found = made.numbers
    yield Text(_left_out(made.left_out))
    panels = [
        figures.Panel(c, figures.binned(figures.finite_of(made.frame[c])), _unit(c), "clips")
        for c in found
    ]
    yield Drawing(
        "features", "Distribution of each feature that differs between clips",
        "Each panel is a feature, and each bar how many clips have a value of that size.",
        figures.multiples(panels), wide=True,
    )  # fmt: skip
    yield Table(
        "Values", ["Feature", "Unit", "Lowest", "5 %", "Median", "95 %", "Highest"],
        [[c, _unit(c), *list(found[c].values())[:5]] for c in found], wide=True,
    )  # fmt: skip
    yield Table(
        "Most extreme clips", ["Feature", "Lowest", "Clip", "Highest", "Clip"],
        [_extremes(made.frame, c) for c in found], wide=True,
    )  # fmt: skip


def _left_out(left_out: Mapping[str, str]) -> str:
    empty = sum(reason == "empty" for reason in left_out.values())
    return (
        f"{len(VALUE_COLUMNS) - len(left_out)} of {len(VALUE_COLUMNS)} columns differ between "
        f"clips. {len(left_out) - empty} have one value in every row but for rounding, and {empty} "
        "are empty: each clip is its own reference, so most features have the value of two equal "
        "pictures."
    )


def _unit(column: str) -> str:
    feature, _, statistic = column.rpartition("_")
    unit = FEATURE_NOTES[feature].unit
    return f"SD, {unit}" if statistic == "std" and unit else unit


def _extremes(frame: pd.DataFrame, column: str) -> list[str | float]:
    values = frame[column].to_numpy(dtype=float)
    low, high = int(np.nanargmin(values)), int(np.nanargmax(values))
    names = frame["clip_name"]
    return [column, values[low], str(names[low]), values[high], str(names[high])]


def _against_mos(made: Extracted) -> Iterator[Block]:
    from k150k_pipeline.reports import figures

    found = made.numbers
    panels = []
    for column in found:
        trace = figures.density_trace(
            made.frame[column], made.frame["mos"], cells=_CELLS, colorbar=False
        )
        if trace is not None:
            rho = found[column]["spearman"]
            title = column if rho is None else f"{column} (Spearman {round(rho, 2) + 0.0:.2f})"
            panels.append(figures.Panel(title, trace, _unit(column), "MOS"))
    yield Drawing(
        "features_mos", "Each feature against MOS",
        "The stronger the colour of a cell, the more clips it has, by their logarithm. Spearman is "
        "1 or -1 if the MOS follows the order of the feature, and near 0 if it does not.",
        figures.multiples(panels), wide=True,
    )  # fmt: skip
    ranked = sorted(found, key=lambda c: -abs(found[c]["spearman"] or 0))
    yield Table(
        "Spearman with the MOS", ["Feature", "Spearman"],
        [[column, found[column]["spearman"]] for column in ranked],
    )  # fmt: skip


def _origin(made: Extracted) -> Iterator[Block]:
    engines = made.report["rows_scored_with"]
    keys = sorted({key for engine in engines.values() for key in engine} - {"rows"})
    yield Table(
        "Engines of the rows", ["Fingerprint", "Rows", "Description"],
        [
            [name, engine["rows"], "; ".join(f"{k}: {engine[k]}" for k in keys if k in engine)]
            for name, engine in sorted(engines.items())
        ],
    )  # fmt: skip
    yield Table(
        "Versions", ["Package", "Version"],
        [["k150k-pipeline", str(made.report["package"]).rpartition(" ")[2]],
         ["Python", python_version()], *([name, version(name)] for name in _PACKAGES)],
    )  # fmt: skip
    yield parameters_table(made.parameters)
