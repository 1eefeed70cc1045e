"""The scores CSV: which columns it may have, and what its values may be (spec 002, §11)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from k150k_pipeline.errors import InputError
from k150k_pipeline.schemas.features import MOS_MAX, MOS_MIN

NAME_COLUMNS = ("video_name", "file_name", "clip_name", "name", "src")
SCORE_COLUMNS = ("mos", "video_score", "score")
_SHOWN = 10


@dataclass(frozen=True)
class Labels:
    """MOS per clip name as the CSV spells it, and what was wrong with the other rows.

    Attributes:
        mos: Mean opinion score on the 1–5 scale by clip name.
        skipped: One message per row left out.
    """

    mos: Mapping[str, float]
    skipped: list[str] = field(default_factory=list)


def read_labels(
    scores: pd.DataFrame,
    *,
    scale: Literal["mos", "fraction_of_five"] = "mos",
    bad_rows: Literal["refuse", "skip"] = "refuse",
) -> Labels:
    """Read clip names and MOS.

    Args:
        scores: The CSV with every cell as text; the header is line 1.
        scale: ``fraction_of_five`` where the file carries score ÷ 5.
        bad_rows: Whether a bad row refuses the whole file or is left out and reported.

    Raises:
        InputError: No usable column, fractions where MOS was expected, or bad rows.
    """
    name_column = _find_column(scores, NAME_COLUMNS, "clip names")
    score_column = _find_column(scores, SCORE_COLUMNS, "scores")
    factor = 5.0 if scale == "fraction_of_five" else 1.0
    values = pd.to_numeric(scores[score_column], errors="coerce") * factor
    if scale == "mos" and len(values) and values.max() <= 1.0:
        raise InputError(
            f"scores CSV: no value of column {score_column!r} is above 1: these are fractions "
            "of five, not MOS. Set extract.score_scale=fraction_of_five"
        )
    mos, problems = _collect(scores[name_column], scores[score_column], values)
    if problems and bad_rows == "refuse":
        raise InputError(_refusal(problems))
    return Labels(mos, problems)


def _find_column(scores: pd.DataFrame, accepted: Iterable[str], what: str) -> str:
    spelled = {str(column).strip().lstrip("\ufeff").lower(): column for column in scores.columns}
    for name in accepted:
        if name in spelled:
            return str(spelled[name])
    raise InputError(
        f"scores CSV: no column with {what}; accepted are {', '.join(accepted)}, "
        f"found are {', '.join(map(str, scores.columns))}"
    )


def _collect(
    names: pd.Series[str], texts: pd.Series[str], values: pd.Series[float]
) -> tuple[dict[str, float], list[str]]:
    mos: dict[str, float] = {}
    problems: list[str] = []
    for line, (name, text, value) in enumerate(zip(names, texts, values, strict=True), start=2):
        name = str(name).strip()
        if not name:
            problems.append(f"line {line}: no clip name")
        elif not MOS_MIN <= value <= MOS_MAX:
            problems.append(f"line {line}: {name}: {text!r} is not a MOS between 1 and 5")
        elif name in mos:
            problems.append(
                f"line {line}: {name}: a second row (MOS {value:g}, before {mos[name]:g})"
            )
        else:
            mos[name] = float(value)
    return mos, problems


def _refusal(problems: list[str]) -> str:
    shown = "\n  ".join(problems[:_SHOWN])
    more = f"\n  … and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return (
        f"scores CSV: {len(problems)} bad rows:\n  {shown}{more}\n"
        "Mend them, or leave them out with extract.bad_labels=skip"
    )
