"""Parameter blocks of the pipelines; Kedro validates them before the first node runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Corpus = Literal["k150ka", "k150kb", "konvid_150k", "konvid_1k"]
PlanName = Literal["identity", "full"]


class Parameters(BaseModel):
    """Base of every block: unknown names are errors, values never change during a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def underscored(value: object) -> object:
    """Take ``konvid-150k`` as rows spell it, too."""
    return value.replace("-", "_") if isinstance(value, str) else value


class VmafParameters(Parameters):
    """Block ``vmaf``: which engine scores, and how it is called."""

    backend: Literal["embedded", "cpu", "cuda"] = "embedded"
    model: Literal["vmaf_v0.6.1"] = "vmaf_v0.6.1"
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    ffmpeg: Path | None = None
    cpu_binary: Path = Path("core/build-cpu/tools/vmaf")
    cuda_binary: Path = Path("core/build-cuda/tools/vmaf")
    no_cuda: bool = False
    scratch_dir: Path = Path("/tmp/k150k_yuv_scratch")
    clip_timeout_s: Annotated[float, Field(gt=0)] = 900.0

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if self.backend == "cuda" and self.no_cuda:
            raise ValueError("backend cuda and no_cuda exclude each other; set one of them")
        return self


class ExtractParameters(Parameters):
    """Block ``extract``: what is extracted, how the work is dealt out, when a run fails."""

    corpus: Annotated[Corpus, BeforeValidator(underscored)] = "k150ka"
    labels: Literal["scores", "corpus"] | None = None
    plan: PlanName = "identity"
    limit: Annotated[int, Field(ge=1)] | None = None
    workers: Annotated[int, Field(ge=1, le=1024)] | None = None
    shards: Annotated[int, Field(ge=1, le=4096)] | None = None
    flush_every: Annotated[int, Field(ge=1)] = 200
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    max_failure_rate: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    verify_clips: Annotated[int, Field(ge=0, le=1000)] = 2
    verify_seed: int = 0
    small_clips: Literal["fail", "nan"] = "fail"
    score_scale: Literal["mos", "fraction_of_five"] = "mos"
    bad_labels: Literal["refuse", "skip"] = "refuse"
    legacy: Literal["take_over", "ignore"] = "take_over"
    on_engine_change: Literal["refuse", "rescore", "mix"] = "refuse"
    metadata_jsonl: Path | None = None
    metadata_columns: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_labels(self) -> Self:
        if self.corpus.startswith("konvid") and self.labels == "scores":
            raise ValueError(f"{self.corpus} has no scores CSV of its own; use labels corpus")
        return self


class SampleParameters(Parameters):
    """Block ``sample``: the synthetic drop that ``--env=sample`` makes for itself."""

    enabled: bool = False
    seconds: Annotated[float, Field(gt=0, le=10)] = 5.0
