"""Splits in which no content is on both sides."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from k150k_pipeline.errors import InputError
from k150k_pipeline.schemas.mos_parameters import SplitParameters
from k150k_pipeline.schemas.sidecar import hash_fraction

HELD_OUT = ("test", "holdout", "held_out")
VALIDATION = ("val", "validation")
TRAINING = ("train", "training")
_FLICKR_NAMES = (re.compile(r"^orig_(\d+)_\d+_\d+s(?:\.\w+)?$"), re.compile(r"^(\d+)\.\w+$"))
_KINDS = ("content", "flickr", "column", "clip", "sha256")
_SHOWN = 3

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Fold:
    """One division of the development part.

    Attributes:
        name: Such as ``repeat 0 fold 3``.
        train: Row numbers to fit on.
        validate: Row numbers to judge on.
    """

    name: str
    train: Rows
    validate: Rows


@dataclass(frozen=True)
class Splits:
    """How a table is divided.

    Attributes:
        contents: Content of each row; rows that share any key share it, shape (clips,).
        development: Rows to fit the final model on.
        held_out: Rows that nothing is fitted or chosen on.
        folds: Divisions of the rest.
        policy: How held-out rows were found, in words.
    """

    contents: npt.NDArray[np.str_]
    development: Rows
    held_out: Rows
    folds: list[Fold]
    policy: str


def split(frame: pd.DataFrame, parameters: SplitParameters) -> Splits:
    """Divide a table by content.

    A row's ``split``, where given, is kept: ``test`` is held out, ``val`` only validates,
    ``train`` only trains. Other rows are held out by a hash of their content, so that the
    held-out part stays the same when clips are added.

    Raises:
        InputError: Given splits put one content on both sides, or too few contents.
    """
    contents = group_contents(frame, parameters.group_columns)
    given = _given(frame)
    _refuse_straddling(contents, given)
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


def refuse_leaks(contents: npt.NDArray[np.str_], train: Rows, judge: Rows, where: str) -> None:
    """Refuse a split that has a content on both sides.

    Raises:
        InputError: It has; some contents are named.
    """
    shared = sorted(set(contents[train]) & set(contents[judge]))
    if shared:
        raise InputError(
            f"{len(shared)} contents are both in training and in {where}: "
            f"{', '.join(shared[:_SHOWN])}{' …' if len(shared) > _SHOWN else ''}. Scores would be "
            "too good; put all clips of a content into one split"
        )


def group_contents(frame: pd.DataFrame, columns: Sequence[str] = ()) -> npt.NDArray[np.str_]:
    """Return the content of each row, shape (clips,).

    Rows belong together when they share the content id, the hash of the file, the Flickr id
    (``orig_<id>_540_5s.mp4`` in K150K, ``<id>.mp4`` in KonViD-1k) or a value of ``columns``,
    directly or through other rows.
    """
    keys = [_keys(row, columns) for row in frame.to_dict("records")]
    groups = _Groups()
    for own in keys:
        for key in own[1:]:
            groups.unite(own[0], key)
    names: dict[str, list[str]] = defaultdict(list)
    for own in keys:
        names[groups.find(own[0])] += own
    canonical = {root: min(found, key=_rank) for root, found in names.items()}
    return np.array([canonical[groups.find(own[0])] for own in keys], dtype=str)


def flickr_id(name: str, corpus: str) -> str | None:
    """Return the Flickr id in a KonViD clip's name; None where it has none."""
    if not corpus.startswith("konvid-"):
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
    """Order keys so that a content keeps its name when hashes become known later."""
    return _KINDS.index(key.partition(":")[0]), key


def _is_value(value: object) -> bool:
    return value is not None and value == value and value != ""


def _given(frame: pd.DataFrame) -> npt.NDArray[np.str_]:
    """Return each row's given split as ``train``, ``val`` or ``test``; empty where none."""
    if "split" not in frame.columns:
        return np.full(len(frame), "", dtype="<U5")
    spelled = [str(v).strip().lower() if _is_value(v) else "" for v in frame["split"]]
    known = {
        **dict.fromkeys(HELD_OUT, "test"),
        **dict.fromkeys(VALIDATION, "val"),
        **dict.fromkeys(TRAINING, "train"),
        "": "",
    }
    unknown = sorted(set(spelled) - known.keys())
    if unknown:
        raise InputError(
            f"column split has {', '.join(unknown)}; accepted are "
            f"{', '.join((*TRAINING, *VALIDATION, *HELD_OUT))}, or nothing"
        )
    return np.array([known[value] for value in spelled])


def _refuse_straddling(contents: npt.NDArray[np.str_], given: npt.NDArray[np.str_]) -> None:
    sides = ("train", "val", "test")
    for index, one in enumerate(sides):
        for other in sides[index + 1 :]:
            refuse_leaks(
                contents,
                np.flatnonzero(given == one),
                np.flatnonzero(given == other),
                f"split {other!r} (column split, {one} against {other})",
            )


def _folds(
    contents: npt.NDArray[np.str_], side: npt.NDArray[np.str_], parameters: SplitParameters
) -> Iterator[Fold]:
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


def _deal(contents: npt.NDArray[np.str_], folds: int, seed: str) -> npt.NDArray[np.intp]:
    """Return a fold number per row: contents in the order of a hash, each to the emptiest fold."""
    names, codes, sizes = np.unique(contents, return_inverse=True, return_counts=True)
    if len(names) < folds:
        raise InputError(
            f"{len(names)} contents cannot be divided into {folds} folds; lower "
            "mos_head.splits.folds or bring more clips"
        )
    filled = np.zeros(folds, dtype=int)
    fold_of = np.empty(len(names), dtype=np.intp)
    for index in np.argsort([hash_fraction(seed, name) for name in names], kind="stable"):
        fold_of[index] = filled.argmin()
        filled[fold_of[index]] += sizes[index]
    return fold_of[codes]


def _describe(given: npt.NDArray[np.str_], parameters: SplitParameters) -> str:
    by_hash = (
        f"{parameters.held_out:.0%} of the contents by blake2s of "
        f"'{parameters.held_out_seed}\\0content'"
    )
    rows = int((given != "").sum())
    if not rows:
        return by_hash
    kept = f"column split for {rows} rows"
    return kept if rows == len(given) else f"{kept}, else {by_hash}"
