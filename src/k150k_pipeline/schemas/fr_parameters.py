"""How FR rows are made: the options of the adapter, and the block ``fr_from_nr``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from k150k_pipeline.schemas.encoders import check_sweep
from k150k_pipeline.schemas.parameters import Parameters

CRF_SWEEP = (18, 23, 28, 33, 38)

Strategy = Literal["auto", "loopback", "stepwise"]


class CorpusOptions(Parameters):
    """How each encode is made and what is kept of it.

    Attributes:
        encoder: ``libx264``, ``libx265``, ``libsvtav1`` or ``libvpx-vp9``.
        encode_dir: Where encodes are kept.
        keep_encodes: Whether they are.
        vmaf_model: VMAF model.
        threads: Threads of each encode; they change the bitstream.
        strategy: ``auto`` is ``loopback`` with the embedded engine and ``stepwise`` with others.
    """

    encoder: str = "libx264"
    encode_dir: Path = Path("data/07_model_output/fr_encodes")
    keep_encodes: bool = False
    vmaf_model: Literal["vmaf_v0.6.1"] = "vmaf_v0.6.1"
    threads: Annotated[int, Field(ge=1, le=64)] = 3
    strategy: Strategy = "auto"


def _split_sweep(value: Any) -> Any:
    """Take ``18+28+38``: a comma separates parameters on Kedro's command line."""
    return value.split("+") if isinstance(value, str) else value


def _spell_preset(value: Any) -> Any:
    """Take the presets that are numbers as YAML reads them."""
    return str(value) if isinstance(value, int) else value


class FrParameters(Parameters):
    """Block ``fr_from_nr``: which corpus is re-encoded, how, and when a run fails."""

    corpus: Literal["konvid_150k", "konvid_1k"] = "konvid_150k"
    crf_sweep: Annotated[tuple[int, ...], BeforeValidator(_split_sweep)] = CRF_SWEEP
    preset: Annotated[str, BeforeValidator(_spell_preset)] = "medium"
    encoder: str = "libx264"
    threads: Annotated[int, Field(ge=1, le=64)] = 3
    strategy: Strategy = "auto"
    keep_encodes: bool = False
    encode_dir: Path = Path("data/07_model_output/fr_encodes")
    keep_intermediate_yuv: bool = False
    parquet: bool = False
    limit: Annotated[int, Field(ge=1)] | None = None
    workers: Annotated[int, Field(ge=1, le=1024)] | None = None
    shards: Annotated[int, Field(ge=1, le=4096)] | None = None
    flush_every: Annotated[int, Field(ge=1)] = 50
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    max_failure_rate: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    on_engine_change: Literal["refuse", "rescore", "mix"] = "refuse"

    @model_validator(mode="after")
    def _can_encode(self) -> Self:
        check_sweep(self.encoder, self.preset, self.crf_sweep)
        return self
