"""Data that contradict each other: labels, copies and names, with counts and the first clips."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.splits import flickr_id, same_features
from k150k_pipeline.mos.table import few, rows_by_clip

_ROUNDING = 1e-6
_CLEARLY = 0.05  # MOS; published tables are rounded to 0.01


def find(frame: pd.DataFrame, corpus: pd.DataFrame) -> list[str]:
    """Return warnings about a training table and its corpus.

    Args:
        frame: Rows of a training table: one per clip, joined with the corpus.
        corpus: Corpus rows; may be empty.

    Raises:
        InputError: Most clips have another MOS in the corpus than in the features table.
    """
    rows = rows_by_clip(corpus)
    return [*_spellings(frame, rows), *_labels(frame, rows), *_equal_bytes(frame), *_copies(frame)]


def _spellings(frame: pd.DataFrame, rows: pd.DataFrame) -> Iterator[str]:
    folded = {str(name).casefold() for name in rows.index}
    unmatched = frame.loc[~frame["clip_name"].isin(rows.index), "clip_name"]
    found = unmatched[unmatched.str.casefold().isin(folded)]
    if len(found):
        yield (
            f"{len(found):,} clips have a row in the corpus JSONL only after a change of case, so "
            f"they have no metadata: {few(found)}. Write the names alike"
        )


def _labels(frame: pd.DataFrame, rows: pd.DataFrame) -> Iterator[str]:
    if "mos" not in rows.columns:
        return
    in_corpus = pd.to_numeric(frame["clip_name"].map(rows["mos"]), errors="coerce")
    apart = (in_corpus - frame["mos"]).abs()
    differ = frame.loc[apart > _ROUNDING, "clip_name"]
    if differ.empty:
        return
    message = (
        f"{len(differ):,} of {int(in_corpus.notna().sum()):,} clips have another MOS in the corpus "
        f"JSONL than in the features table, up to {apart.max():.3g} apart: {few(differ)}"
    )
    if (apart > _CLEARLY).sum() > in_corpus.notna().sum() / 2:
        raise InputError(
            f"{message}. One of the two is of other clips or another scale: correct it, or run "
            "ingest and extract again"
        )
    yield f"{message}. The MOS of the features table is used"


def _equal_bytes(frame: pd.DataFrame) -> Iterator[str]:
    hashed = frame[frame["src_sha256"].notna() & (frame["src_sha256"] != "")]
    by_bytes = hashed.groupby("src_sha256")["mos"]
    spread = by_bytes.max() - by_bytes.min()
    differ = spread[spread > _ROUNDING]
    if len(differ):
        names = hashed.loc[hashed["src_sha256"].isin(differ.index), "clip_name"]
        yield (
            f"{len(names):,} clips share their bytes (src_sha256) with a clip of another MOS, up "
            f"to {differ.max():.3g} apart: {few(names)}. Both labels cannot be right: keep one, or "
            "their mean"
        )


def _copies(frame: pd.DataFrame) -> Iterator[str]:
    pairs = zip(frame["clip_name"], frame["corpus"], strict=True)
    source = pd.Series([flickr_id(n, c) or n for n, c in pairs], index=frame.index)
    hashes = frame["src_sha256"].where(frame["src_sha256"].notna(), "").astype(str)
    copied = np.zeros(len(frame), dtype=bool)
    for key in (hashes, pd.Series(same_features(frame), index=frame.index)):
        several = source.groupby(key).transform("nunique") > 1
        copied |= (several & (key != "")).to_numpy()
    if copied.any():
        yield (
            f"{int(copied.sum()):,} clips are copies under another name, by equal bytes or equal "
            f"features: {few(frame.loc[copied, 'clip_name'])}. Copies count as one content, which "
            "is on one side of every split"
        )
