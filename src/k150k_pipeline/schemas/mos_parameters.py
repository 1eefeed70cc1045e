"""Parameter blocks of enrich, mos_head, predict and protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from k150k_pipeline.schemas.features import MOS_MAX, MOS_MIN
from k150k_pipeline.schemas.parameters import Parameters

ModelKind = Literal["ridge", "svr", "trees", "mlp"]
MODEL_KINDS: tuple[ModelKind, ...] = ("ridge", "svr", "trees", "mlp")

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class EnrichParameters(Parameters):
    """Block ``enrich``: which sidecar completes the features parquet, and how."""

    metadata_jsonl: Path | None = None
    columns: tuple[str, ...] = ()
    overwrite: bool = False


class ColumnParameters(Parameters):
    """Block ``mos_head.columns``: which columns of the training table are inputs."""

    features: bool = True
    metadata: bool = True
    encoder: bool = True
    extra: tuple[str, ...] = ()


class SplitParameters(Parameters):
    """Block ``mos_head.splits``: the held-out part and the folds of the rest."""

    held_out: Share = 0.10
    held_out_seed: str = "k150k-held-out-v1"
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    group_columns: tuple[str, ...] = ("uploader_id", "source_id")


class RidgeParameters(Parameters):
    """Block ``mos_head.ridge``."""

    alpha: Positive = 1.0


class SvrParameters(Parameters):
    """Block ``mos_head.svr``: an RBF kernel on standardised columns."""

    c: Positive = 4.0
    gamma: Positive = 0.05
    epsilon: Annotated[float, Field(ge=0)] = 0.2
    max_rows: Annotated[int, Field(ge=10)] = 5000


class TreesParameters(Parameters):
    """Block ``mos_head.trees``: histogram gradient boosting."""

    iterations: Count = 300
    learning_rate: Positive = 0.05
    leaves: Annotated[int, Field(ge=2)] = 31
    min_leaf: Count = 20
    column_share: Annotated[float, Field(gt=0, le=1)] = 0.5


class MlpParameters(Parameters):
    """Block ``mos_head.mlp``."""

    hidden: tuple[Count, ...] = (64, 32)
    alpha: Annotated[float, Field(ge=0)] = 1e-3
    learning_rate: Positive = 1e-3
    epochs: Count = 60
    batch: Count = 256


class CeilingParameters(Parameters):
    """Block ``mos_head.ceiling``: what is known of the votes behind a label.

    Votes and their SD are taken from the votes CSV, else from the corpus rows, else from here.
    """

    votes: Positive = 5.0
    vote_sd: Annotated[float, Field(ge=0)] = 0.93
    judge_votes: Positive = 89.0
    votes_csv: Path | None = None
    judge_votes_csv: Path | None = None


class GateParameters(Parameters):
    """Block ``mos_head.gate``: when a model is promoted (ADR-0303, ADR-0325, ADR-0336)."""

    plcc: Annotated[float, Field(ge=-1, le=1)] = 0.85
    srocc: Annotated[float, Field(ge=-1, le=1)] = 0.82
    rmse: Positive = 0.45
    spread: Annotated[float, Field(ge=0)] = 0.005
    min_clips: Annotated[int, Field(ge=3)] = 100


class FitParameters(Parameters):
    """The four-parameter logistic fit between predictions and MOS."""

    slope: Positive = 0.5
    max_evaluations: Count = 20_000


class MosHeadParameters(Parameters):
    """Block ``mos_head``: from a features parquet to an exported, judged model."""

    corpus: str = "konvid-150k"
    fr_corpus: Path | None = None
    judge_features: Path | None = None
    judge_corpus: Path | None = None
    models: Annotated[tuple[ModelKind, ...], Field(min_length=1)] = MODEL_KINDS
    export: ModelKind | None = None
    share_support_vectors: bool = False
    seeds: Annotated[tuple[int, ...], Field(min_length=2)] = (0, 1, 2, 3, 4)
    bootstrap_draws: Annotated[int, Field(ge=10)] = 1000
    importance_rows: Count = 2000
    importance_repeats: Count = 3
    columns: ColumnParameters = ColumnParameters()
    splits: SplitParameters = SplitParameters()
    ridge: RidgeParameters = RidgeParameters()
    svr: SvrParameters = SvrParameters()
    trees: TreesParameters = TreesParameters()
    mlp: MlpParameters = MlpParameters()
    ceiling: CeilingParameters = CeilingParameters()
    gate: GateParameters = GateParameters()
    fit: FitParameters = FitParameters()

    @model_validator(mode="after")
    def _can_export(self) -> Self:
        if self.export is not None and self.export not in self.models:
            raise ValueError(f"export {self.export!r} is not one of models {self.models}")
        if self.shareable == () and self.export is None:
            raise ValueError(
                "models holds svr alone, whose file would carry rows of the training table; add "
                "another model, or accept it with share_support_vectors"
            )
        if self.export == "svr" and not self.share_support_vectors:
            raise ValueError(
                "export svr writes support vectors, which are rows of the training table, into "
                "the model file; accept that with share_support_vectors, or export another model"
            )
        return self

    @property
    def shareable(self) -> tuple[ModelKind, ...]:
        """Kinds whose file may be published: an SVR carries rows of the training table."""
        return tuple(k for k in self.models if k != "svr" or self.share_support_vectors)


class PredictParameters(Parameters):
    """Block ``predict``: what MOS is predicted for."""

    source: Path | None = None
    corpus_jsonl: Path | None = None
    corpus: str = "konvid-150k"
    missing: Literal["refuse", "impute"] = "refuse"


class GridParameters(Parameters):
    """Block ``protocol.grid``: candidates of an RBF-SVR, as powers of two.

    Attributes:
        draw: Try so many candidates, drawn without replacement; None for all.
        draw_seed: Of that draw.
    """

    c_log2: tuple[float, float, Count] = (1.0, 10.0, 10)
    gamma_log2: tuple[float, float, Count] = (-8.0, 1.0, 10)
    epsilon: Annotated[float, Field(ge=0)] = 0.1
    tolerance: Positive = 1e-3
    draw: Count | None = None
    draw_seed: int = 0


class InnerParameters(Parameters):
    """Block ``protocol.inner``: how a candidate is chosen inside the training part."""

    kind: Literal["holdout", "kfold"] = "holdout"
    validation_share: Share = 0.2
    seed_factor: Positive = 6.6
    folds: Annotated[int, Field(ge=2)] = 3
    criterion: Literal["rmse_logistic", "rmse", "r2", "srocc"] = "rmse_logistic"


class ScalingParameters(Parameters):
    """Block ``protocol.scaling``: min-max scaling, and on which rows it is fitted."""

    low: float = 0.0
    high: float = 1.0
    inner_fit: Literal["inner_train", "train"] = "inner_train"

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        return self


class ImputationParameters(Parameters):
    """Block ``protocol.imputation``: what stands for NaN and infinity."""

    fill: Literal["zero", "mean", "median"] = "zero"
    fit: Literal["all", "train"] = "all"


class ProtocolParameters(Parameters):
    """Block ``protocol``: repeated 80/20 splits of an RBF-SVR with grid search.

    Attributes:
        chosen: C and gamma of every split, instead of a search: of a published log whose search
            was random.
    """

    mos_column: str = "mos"
    columns: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    group_column: str | None = None
    splits: Count = 100
    first_split: Annotated[int, Field(ge=0)] = 1
    test_share: Share = 0.2
    seed_factor: Positive = 8.8
    seeds: tuple[int, ...] | None = None
    chosen: tuple[tuple[Positive, Positive], ...] | None = None
    clip: tuple[float, float] | None = None
    imputation: ImputationParameters = ImputationParameters()
    scaling: ScalingParameters = ScalingParameters()
    grid: GridParameters = GridParameters()
    inner: InnerParameters = InnerParameters()
    fit: FitParameters = FitParameters(max_evaluations=100_000_000)

    @model_validator(mode="after")
    def _chosen_for_every_split(self) -> Self:
        splits = self.splits if self.seeds is None else len(self.seeds)
        if self.chosen is not None and len(self.chosen) != splits:
            raise ValueError(f"chosen has {len(self.chosen)} pairs for {splits} splits")
        return self


CLAMP = (MOS_MIN, MOS_MAX)
"""Range of the exported model's output."""
