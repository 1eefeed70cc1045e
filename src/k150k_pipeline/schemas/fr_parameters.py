"""How FR rows are made: the options of the adapter, and the block ``fr_from_nr``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from k150k_pipeline.schemas.encoders import check_sweep
from k150k_pipeline.schemas.parameters import Parameters, underscored

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

    corpus: Annotated[Literal["konvid_150k", "konvid_1k"], BeforeValidator(underscored)] = (
        "konvid_150k"
    )
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


class FrClip(BaseModel):
    """What the NR corpus says of a clip: its MOS, and the SHA-256 that it must have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mos: float | None
    sha256: str


class FrPlan(BaseModel):
    """What a run sets out to do, fixed before its first clip.

    Attributes:
        corpus: Corpus whose clips are re-encoded.
        run_id: Name of the run in the rows it makes.
        fingerprint: Key of what determines the numbers of this run.
        accepted: Other fingerprints whose journaled rows are used beside it.
        scoring: What the fingerprint stands for.
        clips: Clips that have a corpus row and either a file or FR rows, by name.
        due: Clips to sweep in this run, sorted.
        attempts: Failed attempts of earlier runs, for due clips.
        done_before: Number of wanted clips that had rows when the run began.
        clips_without_label: Names of clip files that the corpus does not name.
        labels_without_clip: Names in the corpus that have no clip file and no rows.
        torn_lines: Journal lines that a killed writer had left unfinished.
        broken_lines: Journal lines unreadable for another reason, as file:line.
        started_at: Seconds since the epoch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    corpus: str
    run_id: str
    fingerprint: str
    accepted: list[str]
    scoring: dict[str, str | int]
    clips: dict[str, FrClip]
    due: list[str]
    attempts: dict[str, int]
    done_before: int
    clips_without_label: list[str]
    labels_without_clip: list[str]
    torn_lines: int
    broken_lines: list[str]
    started_at: float
