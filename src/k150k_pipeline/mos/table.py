"""The training table: features, labels, metadata and encoder of each clip, checked."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.types import Floats, JoinCounts
from k150k_pipeline.schemas.corpus import KONVID_PREFIX
from k150k_pipeline.schemas.encoder_vocabulary import ENCODER_SLOTS, slot_name
from k150k_pipeline.schemas.features import MOS_MAX, MOS_MIN, VALUE_COLUMNS
from k150k_pipeline.schemas.fr import CANONICAL_6
from k150k_pipeline.schemas.mos_parameters import ColumnParameters

SIZE_COLUMNS = ("width", "height")
CLIP_COLUMNS = ("framerate", "duration_s", "src_size_bytes", "bitrate_kbps")
METADATA_COLUMNS = (*SIZE_COLUMNS, *CLIP_COLUMNS)
"""Facts on a clip's file rather than its pictures: pixels, fps, seconds, bytes, kbit/s."""

ENCODER_COLUMNS = tuple(f"encoder_{name}" for name in ENCODER_SLOTS)
VMAF_COLUMN = "vmaf_mean"
LABEL_COLUMNS = ("mos_raw_0_100", "mos_std_dev", "n_ratings", "mos", "nr_mos")
_FROM_CORPUS = (
    "src_sha256", "mos_std_dev", "n_ratings", "framerate", "duration_s", "src_size_bytes",
)  # fmt: skip
_FR_VALUES = ("vmaf_score", "bitrate_kbps", *(f"{feature}_mean" for feature in CANONICAL_6))
_SHOWN = 3
_LEAST_RELATIVE_RANGE, _LEAST_RANGE = 1e-6, 1e-12  # float32 has fewer than 17 steps below
_LEAST_SPREAD = 0.02  # SD of metadata, as a share of their mean

LEAST_ROWS = 3
"""Fewest rows that a model can be fitted on."""

DEVELOPMENT, HELD_OUT, JUDGE, SET_ASIDE = "development", "held out", "judge", "set aside"
"""Parts of a training table; clips set aside share a content with the judge's."""


@dataclass(frozen=True)
class TrainingTable:
    """One row per clip.

    Attributes:
        frame: ``clip_name``, ``corpus``, ``mos``, what the splits need, and all candidate inputs.
        inputs: Names of the input columns, in order.
        dropped: Candidate inputs left out, with the reason: see ``uninformative``.
        counts: How the clips met the corpus rows.
    """

    frame: pd.DataFrame
    inputs: list[str]
    dropped: dict[str, str]
    counts: JoinCounts


def build_table(
    features: pd.DataFrame,
    corpus: pd.DataFrame,
    columns: ColumnParameters,
    corpus_name: str,
    fr_rows: pd.DataFrame | None = None,
    inputs: Sequence[str] | None = None,
) -> TrainingTable:
    """Join features with their corpus rows, and choose the input columns.

    Args:
        features: Features parquet: ``clip_name``, ``mos``, and numbers.
        corpus: Corpus rows; may be empty.
        columns: Which columns are inputs.
        corpus_name: Corpus of clips that have no corpus row.
        fr_rows: FR corpus: the clips encoded again by ``fr_from_nr``, with their scores. These
            become inputs of the clip that was encoded.
        inputs: The inputs of a first table, which a second one takes over; missing ones are NaN.

    Raises:
        InputError: A clip is there twice, a label is outside 1–5, an encoder is unknown, or no
            input is usable.
    """
    check_clips(features)
    frame = add_metadata(features, corpus, corpus_name)
    counts = _count_join(frame, rows_by_clip(corpus))
    if fr_rows is not None:
        frame = _join_fr(frame, fr_rows)
    if inputs is not None:
        missing = [c for c in inputs if c not in frame.columns]
        frame[missing] = np.nan
        return TrainingTable(frame, list(inputs), {}, counts)
    candidates = _candidates(frame, columns)
    dropped = uninformative(frame, candidates)
    kept = [c for c in candidates if c not in dropped]
    if not kept:
        raise InputError(
            f"all {len(candidates)} input columns of the features table are empty or constant "
            f"but for rounding ({few(candidates)}): give a features parquet, or choose other "
            "mos_head.columns"
        )
    return TrainingTable(frame, kept, dropped, counts)


def add_metadata(features: pd.DataFrame, corpus: pd.DataFrame, corpus_name: str) -> pd.DataFrame:
    """Join corpus rows to features by clip name: metadata, votes, hash, encoder slots.

    Raises:
        InputError: A clip is in the corpus twice, no clip is in it, or an encoder is unknown.
    """
    frame = features.reset_index(drop=True)
    frame["clip_name"] = frame["clip_name"].astype(str)
    _refuse_foreign_corpus(frame["clip_name"], rows_by_clip(corpus))
    return _add_encoders(_join_corpus(frame, rows_by_clip(corpus), corpus_name))


def check_clips(features: pd.DataFrame) -> None:
    """Refuse a table whose clips or labels cannot be used.

    Raises:
        InputError: A column is missing, a clip is there twice, a label is not a number in 1–5.
    """
    for column in ("clip_name", "mos"):
        if column not in features.columns:
            raise InputError(
                f"the features table has no column {column!r}: give one that extract made"
            )
    if features.empty:
        raise InputError("the features table has no rows: run extract first")
    repeated = features["clip_name"][features["clip_name"].duplicated()]
    if len(repeated):
        raise InputError(
            f"{len(repeated)} clips are in the features table more than once: {few(repeated)}. "
            "Keep one row per clip"
        )
    if not pd.api.types.is_numeric_dtype(features["mos"]):
        raise InputError(
            f"column 'mos' of the features table contains {features['mos'].iloc[0]!r} and is not a "
            "column of numbers: write the scores as numbers"
        )
    mos = features["mos"]
    bad = features["clip_name"][~mos.between(MOS_MIN, MOS_MAX)]
    if len(bad):
        raise InputError(
            f"{len(bad)} clips of the features table have no MOS between 1 and 5: {few(bad)}. "
            "Correct the scores and run extract again"
        )


def uninformative(frame: pd.DataFrame, columns: Iterable[str]) -> dict[str, str]:
    """Return the columns that do not vary, each with the reason.

    The reasons are ``empty``, ``constant``, ``rounding`` and, for metadata, ``hardly varies``.
    ``rounding`` is a range below 1e-6 of the values, or below 1e-12: the last digits of a sum,
    which other machines and float32 do not keep. The SDs of a column are compared with its means.
    """
    found = {}
    for column in columns:
        values = _finite(frame, column)
        if not len(values):
            found[column] = "empty"
        elif values.min() == values.max():
            found[column] = "constant"
        elif np.ptp(values) <= max(_LEAST_RANGE, _LEAST_RELATIVE_RANGE * _size(frame, column)):
            found[column] = "rounding"
        elif column in METADATA_COLUMNS and values.std() < _LEAST_SPREAD * abs(values.mean()):
            found[column] = "hardly varies"
    return found


def _size(frame: pd.DataFrame, column: str) -> float:
    """Return the largest absolute value of a column, and of the means that it is the SD of."""
    mean = f"{column.removesuffix('_std')}_mean"
    columns = [column, mean] if column.endswith("_std") and mean in frame.columns else [column]
    return max(float(np.abs(_finite(frame, c)).max(initial=0.0)) for c in columns)


def numbers(frame: pd.DataFrame, column: str) -> Floats:
    """Return a column as numbers, shape (clips,).

    Raises:
        InputError: It contains anything else.
    """
    try:
        values: Floats = frame[column].to_numpy(dtype=float)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"column {column!r} of the table is not a column of numbers ({error}): write its "
            "values as numbers"
        ) from error
    return values


def _finite(frame: pd.DataFrame, column: str) -> Floats:
    values = numbers(frame, column)
    return values[np.isfinite(single_precision(values))]


def single_precision(values: Floats) -> Floats:
    """Return values rounded to float32, so that a float32 copy of a table predicts the same.

    A value beyond the range of float32 becomes infinite, which counts as missing.
    """
    with np.errstate(over="ignore"):
        rounded: Floats = values.astype(np.float32).astype(float)
    return rounded


def corpus_versions(frame: pd.DataFrame, corpus: pd.DataFrame) -> list[str]:
    """Return the versions of the corpora that the clips of a table have rows in."""
    rows = rows_by_clip(corpus)
    versions = _look_up(rows, "corpus_version", frame["clip_name"]).dropna()
    return sorted({str(version) for version in versions})


def describe_mos(frame: pd.DataFrame) -> dict[str, float]:
    """Return mean, SD (ddof 1) and range of the labels."""
    mos = frame["mos"].astype(float)
    values = {"mean": mos.mean(), "sd": mos.std(), "lowest": mos.min(), "highest": mos.max()}
    return {name: round(float(value), 4) for name, value in values.items()}


def metadata_ranges(frame: pd.DataFrame) -> dict[str, list[float]]:
    """Return the range of each metadata column, widened by 5 %; empty columns are left out.

    It says which clips a model knows, also by metadata that hardly vary and are no inputs.
    """
    found = {c: _finite(frame, c) for c in METADATA_COLUMNS if c in frame.columns}
    return {
        column: [float(f"{values.min() * 0.95:.3g}"), float(f"{values.max() * 1.05:.3g}")]
        for column, values in found.items()
        if len(values)
    }


def fingerprint(frame: pd.DataFrame, inputs: Sequence[str]) -> str:
    """Return a hash of clips, labels and inputs; it does not depend on the order of the rows."""
    part = frame[["clip_name", "mos", *inputs]].sort_values("clip_name")
    digest = hashlib.sha256("\0".join(["clip_name", "mos", *inputs]).encode())
    digest.update("\0".join(part["clip_name"]).encode())
    digest.update(np.ascontiguousarray(part[["mos", *inputs]].to_numpy(dtype="<f8")).tobytes())
    return digest.hexdigest()


def read_rows(path: Path, parameter: str) -> pd.DataFrame:
    """Read a JSON-lines file that a parameter names.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file if line.strip()]
        return pd.DataFrame(rows)
    except OSError as error:
        raise InputError(f"{parameter}: {path}: {error.strerror}. Name another file") from error
    except ValueError as error:
        raise InputError(
            f"{parameter}: {path} is not a file of JSON lines ({error}). Name another"
        ) from error


def read_frame(path: Path, parameter: str) -> pd.DataFrame:
    """Read a parquet file that a parameter names.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return pd.read_parquet(path)
    except OSError as error:
        raise InputError(
            f"{parameter}: {path}: {error.strerror or error}. Name another file"
        ) from error
    except ValueError as error:
        raise InputError(
            f"{parameter}: {path} is not a parquet file ({error}). Name another"
        ) from error


def few(names: Iterable[Any]) -> str:
    """Return the first names as text, for a message."""
    shown = [str(name) for name in names]
    return ", ".join(shown[:_SHOWN]) + (" …" if len(shown) > _SHOWN else "")


def rows_by_clip(corpus: pd.DataFrame) -> pd.DataFrame:
    """Return corpus rows by clip name.

    Raises:
        InputError: The rows name no clips, or one twice.
    """
    if corpus.empty:
        return pd.DataFrame({"corpus": pd.Series(dtype=object)})
    if "src" not in corpus.columns:
        raise InputError(
            "the corpus JSONL has no key 'src': give one that ingest made (docs/files.md)"
        )
    names = corpus["src"].map(lambda src: PurePosixPath(str(src)).name)
    repeated = names[names.duplicated()]
    if len(repeated):
        raise InputError(
            f"{len(repeated)} clips are in the corpus JSONL more than once: {few(repeated)}. "
            "Keep one row per clip name, also where a file holds several corpora"
        )
    return corpus.set_index(names)


def _refuse_foreign_corpus(names: pd.Series[str], rows: pd.DataFrame) -> None:
    if rows.empty or names.empty or names.isin(rows.index).any():
        return
    folded = {str(name).casefold() for name in rows.index}
    alike = int(names.str.casefold().isin(folded).sum())
    reason = (
        f"{alike:,} would after a change of case: write the names alike"
        if alike
        else ("give the corpus JSONL of these clips")
    )
    raise InputError(
        f"none of the {len(names):,} clips of the features table ({few(names)}) has a row in the "
        f"corpus JSONL ({few(rows.index)}): {reason}"
    )


def _count_join(frame: pd.DataFrame, corpus_rows: pd.DataFrame) -> JoinCounts:
    matched = frame["clip_name"].isin(corpus_rows.index)
    mos = pd.to_numeric(_look_up(corpus_rows, "mos", frame["clip_name"]), errors="coerce")
    return {
        "clips": len(frame),
        "with_corpus_row": int(matched.sum()),
        "without_corpus_row": int((~matched).sum()),
        "labels_that_differ_from_the_corpus": int(((mos - frame["mos"]).abs() > 1e-6).sum()),
        "clips_per_corpus": dict(sorted(Counter(frame["corpus"]).items())),
    }


def _join_corpus(frame: pd.DataFrame, corpus_rows: pd.DataFrame, corpus_name: str) -> pd.DataFrame:
    names = frame["clip_name"]
    corpora = _look_up(corpus_rows, "corpus", names).astype(object)
    frame["corpus"] = corpora.where(corpora.notna(), corpus_name).astype(str)
    frame["encoder_upstream"] = _look_up(corpus_rows, "encoder_upstream", names)
    for column in _FROM_CORPUS:
        if column not in frame.columns:
            frame[column] = _look_up(corpus_rows, column, names)
    for column in CLIP_COLUMNS[:-1]:
        numbers = pd.to_numeric(frame[column], errors="coerce").astype(float)
        frame[column] = numbers.where(numbers > 0)  # 0 stands for unknown
    frame["bitrate_kbps"] = frame["src_size_bytes"] * 8 / 1000 / frame["duration_s"]
    for column in ("mos_std_dev", "n_ratings"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce").astype(float)
    return frame


def _look_up(corpus_rows: pd.DataFrame, column: str, names: pd.Series[str]) -> pd.Series[Any]:
    if column not in corpus_rows.columns:
        return pd.Series(np.nan, index=names.index, dtype=object)
    return names.map(corpus_rows[column])


def _join_fr(frame: pd.DataFrame, fr_rows: pd.DataFrame) -> pd.DataFrame:
    """Append the scores of each clip's encodes, one column per encoder, CRF and score."""
    lacking = [key for key in ("nr_source", "crf", "encoder") if key not in fr_rows.columns]
    if lacking:
        raise InputError(
            f"the FR corpus (mos_head.fr_corpus) has no key {', '.join(lacking)}: give one that "
            "fr_from_nr made"
        )
    for encoder in fr_rows["encoder"].unique():
        slot_name(str(encoder), "fr")
    source = fr_rows["nr_source"].map(lambda path: PurePosixPath(str(path)).name)
    setting = "fr_" + fr_rows["encoder"].astype(str) + "_crf" + fr_rows["crf"].astype(str)
    for value in _FR_VALUES:
        if value in fr_rows.columns:
            wide = fr_rows.assign(source=source, setting=setting + f"_{value}").pivot_table(
                index="source", columns="setting", values=value, aggfunc="mean"
            )
            frame = frame.join(wide, on="clip_name")
    return frame


def _add_encoders(frame: pd.DataFrame) -> pd.DataFrame:
    pairs = zip(frame["encoder_upstream"], frame["corpus"], strict=True)
    slots = pd.Series([_slot(encoder, corpus) for encoder, corpus in pairs], index=frame.index)
    one_hot = {f"encoder_{name}": (slots == name).astype(float) for name in ENCODER_SLOTS}
    return pd.concat([frame, pd.DataFrame(one_hot)], axis=1)


def _slot(encoder: Any, corpus: str) -> str:
    """Return the slot; empty where a corpus other than KonViD's names no encoder."""
    name = "" if pd.isna(encoder) else str(encoder)
    return slot_name(name, corpus) if name or corpus.startswith(KONVID_PREFIX) else ""


def _candidates(frame: pd.DataFrame, columns: ColumnParameters) -> list[str]:
    names: list[str] = []
    if columns.features:
        names += [*VALUE_COLUMNS, *(c for c in frame.columns if c.startswith("fr_"))]
    if columns.metadata:
        names += METADATA_COLUMNS
    if columns.encoder:
        names += ENCODER_COLUMNS
    for column in columns.extra:
        if column not in frame.columns or not pd.api.types.is_numeric_dtype(frame[column]):
            raise InputError(
                f"mos_head.columns.extra: {column!r} is not a column of numbers in the features "
                "table; run enrich with it, or leave it out"
            )
        if column in LABEL_COLUMNS:
            raise InputError(
                f"mos_head.columns.extra: {column!r} is a label, not an input: leave it out"
            )
    names += columns.extra
    return [c for c in dict.fromkeys(names) if c in frame.columns]


def votes_of(
    frame: pd.DataFrame,
    *,
    votes: float,
    vote_sd: float,
    counted: pd.DataFrame | None,
) -> tuple[Floats, Floats, str]:
    """Return number and SD of the votes per clip, shape (clips,) each, and their source.

    Args:
        frame: Rows of a training table.
        votes: Number of votes where neither a votes CSV nor a corpus row has it.
        vote_sd: SD of one vote, likewise.
        counted: Columns ``votes`` and ``vote_sd`` by clip name, from a votes CSV; it comes before
            the corpus rows.
    """
    if counted is None:
        source = "corpus rows"
        numbers, sds = _recorded_votes(frame)
    else:
        source = "votes CSV"
        numbers, sds = (
            frame["clip_name"].map(counted[column]).to_numpy(dtype=float)
            for column in ("votes", "vote_sd")
        )
    counts = np.isfinite(numbers) & (numbers >= 1)
    known = counts & np.isfinite(sds)
    if not counts.any():
        source = "parameters"
    elif not counts.all():
        source += f" for {int(counts.sum())} of {len(frame)} clips, else parameters"
    if counts.any() and not known.any():
        source += ", the SD from parameters"
    return np.where(counts, numbers, votes), np.where(known, sds, vote_sd), source


def _recorded_votes(frame: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return number and SD of the votes from the corpus rows; 0 votes stand for unknown.

    The SD is pooled over the clips: a few votes show little of one clip's spread, one vote shows
    nothing of it, and it is 0 where votes agree. If it is 0 for every clip, it was not recorded,
    and the SD is NaN.
    """
    numbers = frame["n_ratings"].to_numpy(dtype=float)
    sds = frame["mos_std_dev"].to_numpy(dtype=float)
    several = np.isfinite(sds) & (numbers >= 2)
    freedom = np.where(several, numbers - 1, 0.0)
    total = float((freedom * np.where(several, sds, 0.0) ** 2).sum())
    pooled = np.sqrt(total / freedom.sum()) if total else np.nan
    return numbers, np.where(numbers >= 1, pooled, np.nan)
