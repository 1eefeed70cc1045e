"""The data card of a features table: what its columns are, what they may be used for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from k150k_pipeline.mos.engines import in_words
from k150k_pipeline.pipelines.feature_extraction.outputs import (
    PACKAGE,
    Features,
    describe,
)
from k150k_pipeline.plural import counted, have
from k150k_pipeline.schemas.feature_notes import FEATURE_NOTES
from k150k_pipeline.schemas.features import COLUMNS, MOS_MAX, MOS_MIN, SCHEMA_VERSION

PAPER = "10.1109/ACCESS.2021.3077642"
"""DOI of the paper on KoNViD-150k."""

Ends = tuple[float, float] | None
"""The lowest and the highest value of a column of numbers; None if it has none."""

_HEAD = ("Column", "Type", "Meaning", "Unit", "Possible", "Here", "Empty")
_EXPLAINED: Mapping[str, tuple[str, str, str]] = {
    "clip_name": ("file name of the clip", "", ""),
    "mos": ("mean opinion score", "MOS", f"{MOS_MIN:g} to {MOS_MAX:g}"),
    "width": ("of a decoded frame, before any rotation tag", "pixels", "from 1"),
    "height": ("of a decoded frame, before any rotation tag", "pixels", "from 1"),
}
_NOTES = """\
Empty is NaN, in columns of a sidecar null. "Possible" are the values of an identity pair, which
rounding may exceed by 1e-5. "Here" are the lowest and the highest value of this table. `clip_name`
joins with the `.extra.parquet` beside this file, where there is one. Columns that `enrich` adds
later are those of its sidecar.
"""
_LIMITS = """\
- Each clip is its own reference: the corpora have no others. So `motion`, `motion2`, `motion3`,
  `cambi`, and `vmaf` as a function of motion, are all that differs between clips. The other
  features have the value of two equal pictures.
- `ciede2000` and `psnr_hvs` have no value for equal pictures and are empty. With
  `extract.small_clips=nan`, so are features of clips that are too small for them.
- Means and population standard deviations (ddof 0) are over all decoded frames, empty values left
  out. The order of the frames is lost.
- The MOS are means of few crowd-sourced votes, five per clip in K150K-A. No model can agree with
  them better than such votes agree with each other.
- The clips are uploads to a photo-sharing site, cut to five seconds (eight in KonViD-1k) and mostly
  540 lines high. Other lengths and sizes, HDR and professional material are not represented.
- A damaged clip has no row; the failures table names it. The rows are no random sample of the
  labels.
- One content may stand in several rows (copies, one uploader). Split by content, not by row.
- Other engines may give other values. Only those of `native` and `embedded` are meant to be mixed.
"""
_LICENCE = f"""\
KoNViD-150k and KonViD-1k are for research use only, and so is what is derived from single clips:
this table, and the ends of the ranges above. Do not publish them. Cite the paper with the data:
doi:{PAPER}. The package is under BSD-2-Clause-Patent.
"""


def data_card(features: Features, corpus: str, counts: Mapping[str, int]) -> str:
    """Return the data card of a features table in Markdown; it depends on nothing but these.

    Args:
        features: The features, with the columns of a sidecar after the 48, if there is one.
        corpus: Corpus of the run.
        counts: Counts of the report of the run.
    """
    sections = {
        "Scored with": _engines(features.schema),
        "Columns": f"{_columns(features)}\n\n{_NOTES}",
        "Known limits": _LIMITS,
        "Licence": _LICENCE,
    }
    head = (
        f"# Features of {corpus}\n\n"
        f"{counted(counts['rows'], 'clip')} and {len(features.schema)} columns, schema version "
        f"{SCHEMA_VERSION}, made by {PACKAGE}. Of {counted(counts['wanted'], 'clip')} with a "
        f"label, {counts['failed']:,} failed and {have(counts['failed'])} no row.\n"
    )
    return "\n".join([head, *(f"## {title}\n\n{text}" for title, text in sections.items())])


def _engines(schema: pa.Schema) -> str:
    engines = describe(schema)["rows_scored_with"]
    lines = [
        f"- {in_words({key: engine})}, plan `{engine.get('plan', 'unknown')}`, fingerprint `{key}`"
        for key, engine in sorted(engines.items())
    ]
    return "\n".join([*(lines or ["- nothing: the table has no row"]), ""])


def _columns(features: Features) -> str:
    measured = _measure(features.parts)
    rows = [_HEAD, ("---",) * len(_HEAD), *(_row(f, *measured[f.name]) for f in features.schema)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(field: pa.Field, ends: Ends, empty: int) -> tuple[str, ...]:
    meaning, unit, possible = _explain(field.name)
    found = " to ".join(dict.fromkeys(f"{end:.7g}" for end in ends or ()))
    name = field.name.replace("|", "\\|").replace("\n", " ")
    shown = (text or "–" for text in (unit, possible, found))
    return f"`{name}`", str(field.type), meaning, *shown, f"{empty:,}"


def _explain(name: str) -> tuple[str, str, str]:
    """Return meaning, unit and possible values of a column."""
    if name not in COLUMNS:
        return "from the sidecar", "", ""
    if name in _EXPLAINED:
        return _EXPLAINED[name]
    feature, _, statistic = name.rpartition("_")
    note = FEATURE_NOTES[feature]
    if statistic == "std":
        return f"standard deviation of `{feature}`", note.unit, "from 0"
    return f"mean: {note.meaning}", note.unit, _interval(note.low, note.high)


def _interval(low: float | None, high: float | None) -> str:
    if low is None:
        return "" if high is None else f"up to {high:g}"
    return f"from {low:g}" if high is None else f"{low:g} to {high:g}"


def _measure(parts: Iterable[pa.Table]) -> dict[str, tuple[Ends, int]]:
    """Return the ends of each column of numbers, and how many of its values are empty."""
    measured: dict[str, tuple[Ends, int]] = {}
    for part in parts:
        for name, column in zip(part.column_names, part.columns, strict=True):
            ends, empty = _measure_one(column)
            before, empty_before = measured.get(name, (None, 0))
            measured[name] = _wider(before, ends), empty_before + empty
    return measured


def _measure_one(column: pa.ChunkedArray) -> tuple[Ends, int]:
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return None, column.null_count
    values = column.drop_null().to_numpy()
    values = values[~np.isnan(values)]
    ends = (values.min(), values.max()) if len(values) else None
    return ends, len(column) - len(values)


def _wider(one: Ends, other: Ends) -> Ends:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])
