"""How FR rows are made: the options of the adapter, and the block ``fr_from_nr``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from k150k_pipeline.schemas.encoders import check_sweep
from k150k_pipeline.schemas.parameters import (
    BUILT_IN_MODEL,
    SHARDS,
    FlushEvery,
    Limit,
    MaxAttempts,
    MaxFailureRate,
    MemoryLimit,
    OnEngineChange,
    Parameters,
    ProbeTimeout,
    Shards,
    VmafModel,
    Workers,
    underscored,
)

CRF_SWEEP = (18, 23, 28, 33, 38)

Strategy = Literal["auto", "loopback", "stepwise"]


class EncodeParameters(Parameters):
    """How each encode is made and what is kept of it."""

    encoder: str = "libx264"
    """Encoder; the ffmpeg must have it. Change it when you want rows of another codec."""

    threads: Annotated[int, Field(ge=1, le=64)] = 3
    """Threads of each encode. **They change the bitstream** of x264 and x265; the reference scores
    were made with 3. With more than one, x264 is not fully reproducible on a loaded machine
    (docs/fr_from_nr.md). Change it to 1 when every run must give the same bytes."""

    strategy: Strategy = "auto"
    """How a clip is encoded and scored: ``loopback`` is one process, ``stepwise`` one per step.
    ``auto`` is ``stepwise`` with ``vmaf.backend=cpu`` or ``cuda``, else ``loopback``. Both give the
    same scores and sizes. Change it to ``stepwise`` when you need the time of each encode, or the
    ffmpeg is older than 7.1."""

    keep_encodes: bool = False
    """Keep every encode as an elementary stream. Clips that are done are not encoded again. Change
    it when you need the encodes themselves."""

    encode_dir: Path = Path("data/07_model_output/fr_encodes")
    """Folder of the encodes that are kept. Change it when they must lie on another disk."""


class CorpusOptions(EncodeParameters):
    """The options of the adapter: how each encode is made and what is kept of it."""

    vmaf_model: VmafModel = BUILT_IN_MODEL


def _split_sweep(value: Any) -> Any:
    """Take ``18+28+38``: a comma separates parameters on Kedro's command line."""
    return value.split("+") if isinstance(value, str) else value


def _spell_preset(value: Any) -> Any:
    """Take the presets that are numbers as YAML reads them."""
    return str(value) if isinstance(value, int) else value


class FrParameters(EncodeParameters):
    """Block ``fr_from_nr``: which corpus is re-encoded, how, and when a run fails.

    What the rows hold is in docs/fr_from_nr.md. Of this block, encoder, preset, threads and
    sweep enter the fingerprint.
    """

    corpus: Annotated[Literal["konvid_150k", "konvid_1k"], BeforeValidator(underscored)] = (
        "konvid_150k"
    )
    """Corpus whose clips are re-encoded. Change it when you want FR rows of KonViD-1k."""

    crf_sweep: Annotated[tuple[int, ...], BeforeValidator(_split_sweep)] = CRF_SWEEP
    """CRFs, one row each, no CRF twice; on the command line ``18+23+28``. Change it when you want
    other qualities, or the encoder has another range."""

    preset: Annotated[str, BeforeValidator(_spell_preset)] = "medium"
    """Preset of the encoder; of VP9 it is ``-cpu-used``. Change it with the encoder, or when
    encoding takes too long."""

    keep_intermediate_yuv: bool = False
    """Keep the decoded references in ``vmaf.scratch_dir``. Change it when you want to examine
    them."""

    parquet: bool = False
    """Write a parquet copy beside the JSON lines. Change it when a reader needs parquet."""

    limit: Limit = None
    workers: Workers = None
    shards: Shards = SHARDS
    flush_every: FlushEvery = 50
    max_attempts: MaxAttempts = 3
    max_failure_rate: MaxFailureRate = 0.05
    memory_limit_mb: MemoryLimit = 6144
    probe_timeout_s: ProbeTimeout = 60.0
    on_engine_change: OnEngineChange = "refuse"

    @model_validator(mode="after")
    def _can_encode(self) -> Self:
        check_sweep(self.encoder, self.preset, self.crf_sweep)
        return self
