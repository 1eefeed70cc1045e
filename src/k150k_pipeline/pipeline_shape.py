"""The parameters that determine the nodes and datasets of a run, such as corpora and shard counts.

Nothing here depends on the machine: the same parameters give the same graph everywhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from kedro.framework.project import settings
from pydantic import ValidationError

from k150k_pipeline.schemas.fr_parameters import FrParameters
from k150k_pipeline.schemas.ingest import IngestParameters
from k150k_pipeline.schemas.mos_parameters import ProtocolParameters
from k150k_pipeline.schemas.parameters import ExtractParameters, Parameters, SampleParameters

Block = TypeVar("Block", bound=Parameters)

_MAX_PROTOCOL_SHARDS = 32
_DRAWS = "kedro_viz.integrations.kedro.data_loader"  # imported where a graph is drawn, only
_current: PipelineShape | None = None


@dataclass(frozen=True)
class PipelineShape:
    """The parameters that determine the nodes and datasets of a run.

    Attributes:
        extract: Block ``extract``.
        ingest: Block ``ingest``.
        fr_from_nr: Block ``fr_from_nr``.
        protocol: Block ``protocol``.
        sample: Block ``sample``.
        table_is_given: Whether ``--params features=…`` names the features table that the pipelines
            after ``extract`` read.
        drawn: Whether kedro-viz draws the graph, which nothing runs.
    """

    extract: ExtractParameters
    ingest: IngestParameters
    fr_from_nr: FrParameters
    protocol: ProtocolParameters
    sample: SampleParameters
    table_is_given: bool
    drawn: bool = False

    @property
    def corpus(self) -> str:
        """Prefix of the catalog entries of the corpus that is extracted, such as ``k150ka``."""
        return self.extract.corpus

    @property
    def labels(self) -> str:
        """Dataset of that corpus's labels: a scores CSV or a corpus JSONL."""
        if self.corpus.startswith("konvid"):
            return f"{self.corpus}_corpus"
        from_corpus = self.extract.labels == "corpus"
        return "konvid_150k_corpus" if from_corpus else f"{self.corpus}_scores"

    @property
    def ingest_corpus(self) -> str:
        """Prefix of the catalog entries of the corpus that is ingested."""
        return self.ingest.corpus.replace("-", "_")

    @property
    def table(self) -> str:
        """Prefix of the catalog entries of the table that the pipelines after ``extract`` read."""
        return "given" if self.table_is_given else self.ingest_corpus

    @property
    def fr_prefix(self) -> str:
        """Prefix of the catalog entries that ``fr_from_nr`` makes."""
        corpus = self.fr_from_nr.corpus
        return "k150k_fr" if corpus == "konvid_150k" else f"{corpus}_fr"

    @property
    def protocol_shards(self) -> int:
        """Number of nodes that the splits of ``protocol`` are dealt to; at most one per split."""
        splits = len(self.protocol.seeds or ()) or self.protocol.splits
        tables = len(self.protocol.tables) or 1
        return min(splits * tables, _MAX_PROTOCOL_SHARDS)


def shape_from(parameters: Mapping[str, Any]) -> PipelineShape:
    """Read the shape from raw parameters.

    A block with a wrong value is replaced by the defaults: Kedro builds the graph before it
    validates the parameters, and the validation then ends the run.
    """
    return PipelineShape(
        extract=_block(ExtractParameters, parameters.get("extract")),
        ingest=_block(IngestParameters, parameters.get("ingest")),
        fr_from_nr=_block(FrParameters, parameters.get("fr_from_nr")),
        protocol=_block(ProtocolParameters, parameters.get("protocol")),
        sample=_block(SampleParameters, parameters.get("sample")),
        table_is_given=bool(parameters.get("features")),
    )


def set_shape(parameters: Mapping[str, Any]) -> None:
    """Fix the shape for this process from the run's parameters.

    Kedro calls ``register_pipelines`` without arguments and before there is a catalog, so the
    parameters of the command line can reach it only through this module.
    """
    global _current
    _current = shape_from(parameters)


def current_shape() -> PipelineShape:
    """Return the shape of this process's run; outside a run, that of the configuration.

    ``kedro registry`` and ``kedro viz`` call no hook that could set it. Then the environment is
    that of ``KEDRO_ENV``.
    """
    if _current is not None:
        return _current
    loader = settings.CONFIG_LOADER_CLASS(
        conf_source=str(settings.CONF_SOURCE),
        env=os.environ.get("KEDRO_ENV"),
        **settings.CONFIG_LOADER_ARGS,
    )
    return replace(shape_from(loader["parameters"]), drawn=_DRAWS in sys.modules)


def _block(model: type[Block], values: object) -> Block:
    try:
        return model.model_validate(values or {})
    except ValidationError:
        return model()
