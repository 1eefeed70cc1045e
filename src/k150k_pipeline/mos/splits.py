"""Splits in which no content is on both sides."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from k150k_pipeline.errors import InputError
from k150k_pipeline.mos.table import few, uninformative
from k150k_pipeline.mos.types import Integers
from k150k_pipeline.schemas.corpus import KONVID_PREFIX
from k150k_pipeline.schemas.features import VALUE_COLUMNS
from k150k_pipeline.schemas.mos_parameters import SplitParameters
from k150k_pipeline.schemas.sidecar import hash_fraction

_SPELLINGS = {
    "train": ("train", "training"),
    "val": ("val", "validation"),
    "test": ("test", "holdout", "held_out"),
}
_FLICKR_NAMES = (
    re.compile(r"^orig_(\d+)_\d+_\d+s(?:\.\w+)?$", re.IGNORECASE),
    re.compile(r"^(\d+)(?:\.\w+)?$"),
    re.compile(r"^(?:[a-z]+[_\- ])*(\d{6,})(?:[_\-. (].*)?$", re.IGNORECASE),
)
_KEY_KINDS = ("content", "flickr", "column", "clip", "sha256", "features")
_FEWEST_FEATURES, _FEWEST_DISTINCT = 3, 10  # that identify a clip; and values of such a column

Rows = Integers
"""Row numbers of a table."""

Texts = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Fold:
    """One division of the development part.

    Attributes:
        name: Its name, such as ``repeat 0 fold 3``.
        train: Rows to fit on.
        validate: Rows to score on.
    """

    name: str
    train: Rows
    validate: Rows


@dataclass(frozen=True)
class Splits:
    """How a table is divided.

    Attributes:
        contents: Content of each row, shape (clips,).
        development: Rows to fit the final model on.
        held_out: Rows that no model is fitted or chosen on.
        folds: Divisions of the other rows.
        policy: How held-out rows are chosen, in words.
    """

    contents: Texts
    development: Rows
    held_out: Rows
    folds: list[Fold]
    policy: str


def split(frame: pd.DataFrame, parameters: SplitParameters) -> Splits:
    """Divide a table by content: column ``content``, else that of ``group_contents``.

    A split that a row has (column ``split``) is kept: ``test`` is held out, ``val`` is only
    scored on, ``train`` is only fitted on. Of the other contents, a hash decides which are held
    out, so that the held-out part stays the same when clips are added.

    Raises:
        InputError: The column ``split`` puts one content on two sides, or there are too few
            contents.
    """
    if "content" in frame.columns:
        contents = frame["content"].to_numpy(dtype=str)
    else:
        contents = group_contents(frame, parameters.group_columns)
    given = _given_splits(frame)
    _refuse_divided_contents(contents, given)
    by_hash = np.array(
        [hash_fraction(parameters.held_out_seed, c) < parameters.held_out for c in contents]
    )
    of_content = dict(zip(contents[given != ""], given[given != ""], strict=True))
    side = np.array([of_content.get(c, "") for c in contents])
    held_out = np.where(side == "", by_hash, side == "test")
    folds = list(_folds(contents, np.where(held_out, "test", side), parameters))
    splits = Splits(
        contents=contents,
        development=np.flatnonzero(~held_out & (side != "val")),
        held_out=np.flatnonzero(held_out),
        folds=folds,
        policy=_describe(given, parameters),
    )
    refuse_leaks(contents, splits.development, splits.held_out, "the held-out part")
    for fold in folds:
        refuse_leaks(contents, fold.train, fold.validate, fold.name)
    return splits


def refuse_leaks(contents: Texts, train: Rows, judge: Rows, where: str) -> None:
    """Refuse a split that has a content on both sides.

    Raises:
        InputError: A content is on both sides; the first such contents are named.
    """
    shared = sorted(set(contents[train]) & set(contents[judge]))
    if shared:
        raise InputError(
            f"{len(shared)} contents are both in training and in {where}: {few(shared)}. Scores "
            "would be too good; put all clips of a content into one split"
        )


def group_contents(frame: pd.DataFrame, columns: Sequence[str] = ()) -> Texts:
    """Return the content of each row, shape (clips,).

    Rows belong together when they share the content id, the hash of the file, all feature values,
    the Flickr id (``orig_<id>_540_5s.mp4`` in K150K, ``<id>.mp4`` in KonViD-1k) or a value of
    ``columns``, directly or through other rows.
    """
    needed = ("clip_name", "corpus", "content_id", "src_sha256", *columns)
    records = frame[[c for c in dict.fromkeys(needed) if c in frame.columns]].to_dict("records")
    keys = [_keys(row, columns) for row in records]
    for own, vector in zip(keys, same_features(frame), strict=True):
        if vector:
            own.append(f"features:{vector}")
    groups = _Groups()
    for own in keys:
        for key in own[1:]:
            groups.unite(own[0], key)
    names: dict[str, list[str]] = defaultdict(list)
    for own in keys:
        names[groups.find(own[0])] += own
    canonical = {root: min(found, key=_rank) for root, found in names.items()}
    return np.array([canonical[groups.find(own[0])] for own in keys], dtype=str)


def same_features(frame: pd.DataFrame) -> list[str]:
    """Return a hash per row that is equal for equal values of ``extract``.

    Values are rounded to float32. The hash is empty where fewer than three values identify a clip:
    still clips without banding have 0 alike, and PSNR has one value per bit depth.
    """
    columns = [c for c in VALUE_COLUMNS if c in frame.columns]
    columns = [c for c in columns if frame[c].nunique() >= _FEWEST_DISTINCT]
    columns = [c for c in columns if c not in uninformative(frame, [c])]
    if len(columns) < _FEWEST_FEATURES:
        return [""] * len(frame)
    values = frame[columns].to_numpy(dtype=np.float32)
    known = np.isfinite(values)
    values = np.where(known, values, np.float32(np.nan)) + np.float32(0)  # one NaN, one zero
    enough = (known & (values != 0)).sum(axis=1) >= _FEWEST_FEATURES
    return [
        hashlib.blake2s(row.tobytes(), digest_size=16).hexdigest() if identifies else ""
        for row, identifies in zip(values, enough, strict=True)
    ]


def flickr_id(name: str, corpus: str) -> str | None:
    """Return the Flickr id in the name of a KonViD clip; None if there is none."""
    if not corpus.startswith(KONVID_PREFIX):
        return None
    matches = (pattern.match(name) for pattern in _FLICKR_NAMES)
    return next((match[1] for match in matches if match), None)


class _Groups:
    """Disjoint sets of keys."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def find(self, key: str) -> str:
        root = key
        while (parent := self._parent.setdefault(root, root)) != root:
            root = parent
        while self._parent[key] != root:
            self._parent[key], key = root, self._parent[key]
        return root

    def unite(self, one: str, other: str) -> None:
        first, second = sorted((self.find(one), self.find(other)))
        self._parent[second] = first


def _keys(row: Mapping[Hashable, object], columns: Sequence[str]) -> list[str]:
    name, corpus = str(row["clip_name"]), str(row.get("corpus", ""))
    keys = [f"clip:{corpus}/{name}"]
    flickr = flickr_id(name, corpus)
    if flickr:
        keys.append(f"flickr:{flickr}")
    if _is_value(row.get("content_id")):
        keys.append(f"content:{row['content_id']}")
    if _is_value(row.get("src_sha256")):
        keys.append(f"sha256:{row['src_sha256']}")
    keys += [f"column:{c}={row[c]}" for c in columns if _is_value(row.get(c))]
    return keys


def _rank(key: str) -> tuple[int, str]:
    """Return the order of a key, such that a content keeps its name when hashes are added."""
    return _KEY_KINDS.index(key.partition(":")[0]), key


def _is_value(value: object) -> bool:
    return value is not None and value == value and value != ""


def _given_splits(frame: pd.DataFrame) -> Texts:
    """Return ``train``, ``val`` or ``test`` per row, from column ``split``; empty if it is."""
    if "split" not in frame.columns:
        return np.full(len(frame), "", dtype="<U5")
    spelled = [str(v).strip().lower() if _is_value(v) else "" for v in frame["split"]]
    accepted = {spelling: side for side, all_ in _SPELLINGS.items() for spelling in all_}
    unknown = sorted(set(spelled) - {*accepted, ""})
    if unknown:
        raise InputError(
            f"column split has {', '.join(unknown)}: use {', '.join(accepted)}, or leave the cell "
            "empty"
        )
    return np.array([accepted.get(spelling, "") for spelling in spelled])


def _refuse_divided_contents(contents: Texts, given: Texts) -> None:
    for one, other in combinations(_SPELLINGS, 2):
        refuse_leaks(
            contents,
            np.flatnonzero(given == one),
            np.flatnonzero(given == other),
            f"split {other!r} (column split, {one} against {other})",
        )


def _folds(contents: Texts, side: Texts, parameters: SplitParameters) -> Iterator[Fold]:
    free = np.flatnonzero(side == "")
    always_train, always_validate = np.flatnonzero(side == "train"), np.flatnonzero(side == "val")
    if not len(free) and len(always_validate):
        yield Fold("given split", always_train, always_validate)
        return
    if not len(free):
        free, always_train = always_train, free
    for repeat in range(parameters.repeats):
        numbers = _deal(contents[free], parameters.folds, f"fold {repeat}")
        for fold in range(parameters.folds):
            yield Fold(
                f"repeat {repeat} fold {fold}",
                np.sort(np.concatenate([always_train, free[numbers != fold]])),
                np.sort(np.concatenate([always_validate, free[numbers == fold]])),
            )


def _deal(contents: Texts, folds: int, seed: str) -> Integers:
    """Return a fold number per row: contents in the order of a hash, each to the smallest fold."""
    names, codes, sizes = np.unique(contents, return_inverse=True, return_counts=True)
    if len(names) < folds:
        raise InputError(
            f"{len(names)} contents cannot be divided into {folds} folds: lower "
            "mos_head.splits.folds, or add clips"
        )
    rows_of_fold = np.zeros(folds, dtype=int)
    fold_of = np.empty(len(names), dtype=np.intp)
    for index in np.argsort([hash_fraction(seed, name) for name in names], kind="stable"):
        fold_of[index] = rows_of_fold.argmin()
        rows_of_fold[fold_of[index]] += sizes[index]
    return fold_of[codes]


def _describe(given: Texts, parameters: SplitParameters) -> str:
    by_hash = (
        f"{parameters.held_out:.0%} of the contents by blake2s of "
        f"'{parameters.held_out_seed}\\0content'"
    )
    rows = int((given != "").sum())
    if not rows:
        return by_hash
    kept = f"column split for {rows} rows"
    return kept if rows == len(given) else f"{kept}, else {by_hash}"
