"""The parameter blocks of the project, by the name that they have in ``conf/base``."""

from __future__ import annotations

from collections.abc import Mapping

from k150k_pipeline.schemas.fr_parameters import FrParameters
from k150k_pipeline.schemas.ingest import IngestParameters
from k150k_pipeline.schemas.mos_parameters import (
    EnrichParameters,
    MosHeadParameters,
    PredictParameters,
    ProtocolParameters,
)
from k150k_pipeline.schemas.parameters import (
    ExtractParameters,
    Parameters,
    SampleParameters,
    StoreParameters,
    VmafParameters,
)

BLOCKS: Mapping[str, type[Parameters]] = {
    "vmaf": VmafParameters,
    "extract": ExtractParameters,
    "ingest": IngestParameters,
    "fr_from_nr": FrParameters,
    "enrich": EnrichParameters,
    "mos_head": MosHeadParameters,
    "predict": PredictParameters,
    "protocol": ProtocolParameters,
    "store": StoreParameters,
    "sample": SampleParameters,
}
