"""Which engines scored the rows of a features parquet, and whether two tables agree in them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from k150k_pipeline.schemas.features import METADATA_KEY
from k150k_pipeline.schemas.scoring_class import scoring_class
from k150k_pipeline.tables import parquet_files

Engines = dict[str, Any]
"""Description of an engine by fingerprint, with the number of its rows under ``rows``."""

_KEYS = ("backend", "engine", "version", "libvmaf", "decoder", "model")


def engines_of(metadata: Mapping[bytes, bytes] | None) -> Engines:
    """Return the engines in the schema metadata of a features parquet; empty if it has none."""
    try:
        description = json.loads((metadata or {}).get(METADATA_KEY, b"") or b"{}")
    except ValueError:
        return {}
    found = description.get("rows_scored_with") if isinstance(description, dict) else None
    return found if isinstance(found, dict) else {}


def engines_of_file(path: Path) -> Engines:
    """Return the engines that a parquet file records, or the first one in a folder."""
    try:
        return engines_of(pq.read_schema(parquet_files(path)[0]).metadata)
    except (OSError, pa.ArrowInvalid, IndexError):
        return {}


def mixed(engines: Engines) -> str | None:
    """Return a warning if the rows of a table were scored by several engines."""
    if len(set(map(_class, engines.values()))) < 2:
        return None
    return (
        f"The features were scored by several engines, which may differ: {in_words(engines)}. "
        "Score all clips with one engine"
    )


def disagreement(found: Engines, trained: Engines, what: str) -> str | None:
    """Return a warning if features are not of an engine that the training table has.

    Args:
        found: Engines of the features; empty if unknown.
        trained: Engines of the training table; empty if unknown.
        what: Whose features these are, for the message.
    """
    known = set(map(_class, trained.values()))
    other = {key: engine for key, engine in found.items() if _class(engine) not in known}
    if not known or (found and not other):
        return None
    if not found:
        return (
            f"{what}: no engine is recorded, so it is unknown whether it is that of the training "
            f"table ({in_words(trained)})"
        )
    return (
        f"{what}: the model was trained on features of another engine than {in_words(other)}, "
        f"namely {in_words(trained)}, so predictions may be off. Choose that engine with "
        "vmaf.backend, or train on this one's features"
    )


def in_words(engines: Engines) -> str:
    """Return engines as text, each with the number of its rows."""
    rows: Counter[str] = Counter()
    for engine in engines.values():
        rows[_name(engine)] += int(engine.get("rows", 0)) if isinstance(engine, Mapping) else 0
    return "; ".join(_with_rows(name, count) for name, count in rows.items()) or "unknown"


def _with_rows(name: str, count: int) -> str:
    return f"{name} ({count:,} rows)" if count else name


def _name(engine: Any) -> str:
    return " ".join(_parts(engine)) or "an engine without a description"


def _parts(engine: Any) -> Iterable[str]:
    return dict.fromkeys(part for part in _identity(engine) if part)


def _class(engine: Any) -> tuple[str, ...]:
    """Return what two engines with equal values have in common."""
    return _identity(scoring_class(engine) if isinstance(engine, Mapping) else engine)


def _identity(engine: Any) -> tuple[str, ...]:
    values = engine if isinstance(engine, Mapping) else {}
    return tuple(str(values.get(key, "")) for key in _KEYS)
