"""What must be known before the pipelines exist: shard count, workers, corpus, sample or not.

Kedro builds the graph before it has a catalog. The hook that sees the configuration first puts
the shape here; commands that fire no hooks (``kedro registry``, ``kedro viz``) fall back to
reading the configuration themselves.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings

_SHARDS_PER_WORKER = 8
_MAX_SHARDS = 256
_SCORE_DROPS = ("k150ka", "k150kb")
_CORPORA = ("konvid_150k", "konvid_1k")
_current: RunShape | None = None


@dataclass(frozen=True)
class RunShape:
    """Shape of the graph of a run.

    Attributes:
        corpus: Prefix of the catalog entries of the corpus that is extracted, such as ``k150ka``.
        labels: Dataset that has its labels: a scores CSV or a corpus JSONL.
        workers: Worker processes.
        shards: Nodes that the clips of ``extract`` are dealt to.
        ingest_corpus: Prefix of the catalog entries of the corpus that is ingested.
        ingest_shards: Nodes that the clips of ``ingest`` are dealt to.
        fr_corpus: Prefix of the catalog entries of the corpus that ``fr_from_nr`` re-encodes.
        fr_shards: Nodes that its clips are dealt to.
        fr_parquet: Whether the FR corpus gets a parquet copy.
        sample: Whether the clips are made by the sample pipeline first.
    """

    corpus: str = "k150ka"
    labels: str = "k150ka_scores"
    workers: int = 1
    shards: int = 1
    ingest_corpus: str = "konvid_150k"
    ingest_shards: int = 1
    fr_corpus: str = "konvid_150k"
    fr_shards: int = 1
    fr_parquet: bool = False
    sample: bool = False

    @property
    def fr_prefix(self) -> str:
        """Prefix of the catalog entries that ``fr_from_nr`` makes."""
        return "k150k_fr" if self.fr_corpus == "konvid_150k" else f"{self.fr_corpus}_fr"


def shape_from(parameters: Mapping[str, Any]) -> RunShape:
    """Read the shape from raw parameters; values that validation will refuse count as absent."""
    extract, ingest, fr = (_block(parameters, name) for name in ("extract", "ingest", "fr_from_nr"))
    asked = [_positive(block.get("workers")) for block in (extract, ingest, fr)]
    workers = max((n for n in asked if n), default=usable_cores())
    default = max(workers, min(workers * _SHARDS_PER_WORKER, _MAX_SHARDS))
    corpus = _choice(extract.get("corpus"), (*_SCORE_DROPS, *_CORPORA))
    return RunShape(
        corpus=corpus,
        labels=_labels(corpus, extract.get("labels")),
        workers=workers,
        shards=_positive(extract.get("shards")) or default,
        ingest_corpus=_choice(ingest.get("corpus"), _CORPORA),
        ingest_shards=_positive(ingest.get("shards")) or default,
        fr_corpus=_choice(fr.get("corpus"), _CORPORA),
        fr_shards=_positive(fr.get("shards")) or default,
        fr_parquet=fr.get("parquet") is True,
        sample=_block(parameters, "sample").get("enabled") is True,
    )


def set_shape(parameters: Mapping[str, Any]) -> None:
    """Fix the shape for this process from the run's parameters."""
    global _current
    _current = shape_from(parameters)


def current_shape() -> RunShape:
    """Return the shape of this process's run; outside a run, that of the configuration.

    The environment is then the one that ``KEDRO_ENV`` names.
    """
    if _current is not None:
        return _current
    loader = OmegaConfigLoader(
        conf_source=str(settings.CONF_SOURCE),
        env=os.environ.get("KEDRO_ENV"),
        **settings.CONFIG_LOADER_ARGS,
    )
    return shape_from(loader["parameters"])


def usable_cores() -> int:
    """Return the cores that this process may use, fewer than the machine's in a batch job."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _choice(value: object, known: tuple[str, ...]) -> str:
    spelled = str(value).replace("-", "_")
    return next((name for name in known if name == spelled), known[0])


def _labels(corpus: str, source: object) -> str:
    if corpus in _CORPORA:
        return f"{corpus}_corpus"
    return f"{_CORPORA[0]}_corpus" if source == "corpus" else f"{corpus}_scores"


def _block(parameters: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    block = parameters.get(name)
    return block if isinstance(block, Mapping) else {}


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
