"""Parameter blocks of enrich, mos_head, predict and protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from k150k_pipeline.schemas.features import MOS_MAX, MOS_MIN
from k150k_pipeline.schemas.parameters import (
    Count,
    MemoryLimit,
    Parameters,
    ProbeTimeout,
    split_names,
)

ModelKind = Literal["ridge", "svr", "trees", "mlp"]
MODEL_KINDS: tuple[ModelKind, ...] = ("ridge", "svr", "trees", "mlp")

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Correlation = Annotated[float, Field(ge=-1, le=1)]


class EnrichParameters(Parameters):
    """Block ``enrich``: which sidecar completes the features parquet, and how.

    The columns are in docs/enrich.md.
    """

    metadata_jsonl: Path | None = None
    """The JSON-lines sidecar, of CHUG or K150K; null is refused. Give it in every run."""

    columns: tuple[str, ...] = ()
    """Further keys of the sidecar to take over. An example is ``[chug_bit_depth]``. Texts, numbers
    and truth values are taken. Change it when you need more than the six metadata columns."""

    overwrite: bool = False
    """Replace cells whose value differs from that of the sidecar. Otherwise only empty cells are
    filled. No cell is ever emptied. Change it when the sidecar corrects the table."""


class ColumnParameters(Parameters):
    """Block ``mos_head.columns``: which columns of the training table are inputs."""

    features: bool = True
    """The 44 values of ``extract``, and those of the FR corpus. Change it to see what metadata
    alone can do."""

    metadata: bool = True
    """Width, height, fps, seconds, bytes and kbit/s. Change it when the model must judge by the
    picture alone."""

    encoder: bool = True
    """One-hot of the encoder vocabulary. Change it when the clips to predict for have no known
    encoder."""

    extra: tuple[str, ...] = ()
    """Further columns of numbers, such as those that ``enrich`` added. Change it when they are
    related to quality."""


class SplitParameters(Parameters):
    """Block ``mos_head.splits``: the held-out part and the folds of the rest."""

    held_out: Share = 0.10
    """Share of the contents that is held out. Change it when too few clips are judged on."""

    held_out_seed: str = "k150k-held-out-v1"
    """Seed of the hash by which contents are held out. Leave it the same for models that you
    compare."""

    folds: Annotated[int, Field(ge=2, le=100)] = 5
    """Folds of the rest, on which the kind of model is chosen. Change it when training takes too
    long, or there are few clips."""

    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    """Number of times that the clips are divided into folds. Change it when the folds differ much:
    raise it."""

    group_columns: tuple[str, ...] = ("uploader_id", "source_id")
    """Columns in which equal values make clips one content. Change it when your table names related
    clips by another column."""


class RidgeParameters(Parameters):
    """Block ``mos_head.ridge``: a linear model."""

    alpha: Positive = 1.0
    """Weight of the L2 penalty. Change it when ridge overfits: raise it."""


class SvrParameters(Parameters):
    """Block ``mos_head.svr``: an RBF kernel on standardised columns."""

    c: Positive = 4.0
    """Weight of errors against smoothness. Change it when the SVR underfits: raise it."""

    gamma: Positive = 0.05
    """Inverse width of the kernel. Change it with the number of columns: more columns, less."""

    epsilon: Annotated[float, Field(ge=0)] = 0.2
    """Error that costs nothing, in SDs of MOS: MOS is standardised. Change it when labels are less
    noisy, or more."""

    max_rows: Annotated[int, Field(ge=10, json_schema_extra={"unit": "rows"})] = 5000
    """Most training rows of a member, drawn by its seed. Change it when training takes too long, or
    you can wait."""


class TreesParameters(Parameters):
    """Block ``mos_head.trees``: histogram gradient boosting."""

    iterations: Count = 300
    """Trees of a member. Change it together with ``learning_rate``."""

    learning_rate: Positive = 0.05
    """Share of each tree's correction that is applied. Change it when trees overfit: lower it."""

    leaves: Annotated[int, Field(ge=2)] = 31
    """Most leaves of a tree. Change it when trees overfit: lower it."""

    min_leaf: Count = 20
    """Fewest training rows in a leaf. Change it when there are few clips: lower it."""

    column_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the columns that each split may choose from. Change it when members of the ensemble
    differ too little, or too much."""


class MlpParameters(Parameters):
    """Block ``mos_head.mlp``: a perceptron with hidden layers."""

    hidden: tuple[Count, ...] = (64, 32)
    """Units of each hidden layer. Change it when the perceptron overfits or underfits."""

    alpha: Annotated[float, Field(ge=0)] = 1e-3
    """Weight of the L2 penalty. Change it when the perceptron overfits: raise it."""

    learning_rate: Positive = 1e-3
    """First step size of Adam. Change it when training does not settle: lower it."""

    epochs: Count = 60
    """Most passes over the training rows. Change it when training has not settled: raise it."""

    batch: Annotated[int, Field(ge=1, json_schema_extra={"unit": "rows"})] = 256
    """Rows per step. Change it rarely."""


class CeilingParameters(Parameters):
    """Block ``mos_head.ceiling``: what is known of the votes behind a label.

    Votes and their SD are taken from the votes CSV, else from the corpus rows, else from here.
    """

    votes: Positive = 5.0
    """Votes per clip behind the labels of the table. Change it when another corpus was rated."""

    vote_sd: Annotated[float, Field(ge=0, json_schema_extra={"unit": "MOS"})] = 0.93
    """SD of the votes for one clip. Change it when another corpus was rated."""

    judge_votes: Positive = 89.0
    """Votes per clip behind the labels of the judge. Change it when the judge is not K150K-B."""

    votes_csv: Path | None = None
    """CSV of the votes behind the labels of the table; null: none. Change it when you have the
    votes."""

    judge_votes_csv: Path | None = None
    """CSV of the votes behind the labels of the judge; null: none. Change it when you have the
    votes."""


class GateParameters(Parameters):
    """Block ``mos_head.gate``: when a model is promoted.

    The code never lowers these thresholds. docs/mos_head.md says what each is measured on.
    """

    plcc: Correlation = 0.85
    """Lowest PLCC, of the raw predictions. Change it when you require another value."""

    srocc: Correlation = 0.82
    """Lowest SROCC. Change it when you require another value."""

    rmse: Annotated[float, Field(gt=0, json_schema_extra={"unit": "MOS"})] = 0.45
    """Highest RMSE. Change it when you require another value."""

    spread: Annotated[float, Field(ge=0)] = 0.005
    """Largest difference of PLCC between seeds. Change it when you require another value."""

    min_clips: Annotated[int, Field(ge=3, json_schema_extra={"unit": "clips"})] = 100
    """Fewest clips that a model is judged on. Change it when you require another value."""

    column_share: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of the ceiling's PLCC at which one column is suspect. Change it when a column
    is known to be this good: raise it."""


class FitParameters(Parameters):
    """The four-parameter logistic fit between predictions and MOS.

    It starts at the largest MOS, the smallest, the mean prediction and ``slope``.
    """

    slope: Positive = 0.5
    """Slope at which the fit starts. Change it when you repeat a script that starts elsewhere."""

    max_evaluations: Count = 20_000
    """Evaluations of the curve after which the fit is given up. Change it when a fit fails, or
    takes too long."""


class MosHeadParameters(Parameters):
    """Block ``mos_head``: from a features parquet to an exported, judged model.

    Table, splits, models and gate are described in docs/mos_head.md.
    """

    corpus: str = "konvid-150k"
    """Corpus of clips without a row in the corpus JSONL. Change it when the table is of another
    corpus."""

    fr_corpus: Path | None = None
    """FR corpus JSONL whose scores per CRF become inputs; null: none. Change it when ``fr_from_nr``
    has made one of the same clips."""

    judge_features: Path | None = None
    """Features parquet to judge on; null: the held-out part. Change it when you have better labels
    to judge on, such as those of K150K-B."""

    judge_corpus: Path | None = None
    """Corpus JSONL of the judge's clips; null: none. Change it when the inputs have metadata:
    without it the judge has none."""

    models: Annotated[tuple[ModelKind, ...], Field(min_length=1)] = MODEL_KINDS
    """Kinds of model that are compared. Change it when one takes too long."""

    export: ModelKind | None = None
    """Kind that is exported. Null is the best in cross-validation. Change it when you want another
    than the best."""

    share_support_vectors: bool = False
    """Allow the export of ``svr``, whose file contains rows of the table. The model card then says
    not to publish it. Change it when you do not publish the file."""

    seeds: Annotated[tuple[Seed, ...], Field(min_length=2)] = (0, 1, 2, 3, 4)
    """Seeds of the ensemble, one member each. Change it when training takes too long, or the spread
    must be known more precisely."""

    bootstrap_draws: Annotated[int, Field(ge=10)] = 1000
    """Resamplings of the contents for a 95 % interval. Change it when judging takes too long."""

    importance_rows: Annotated[int, Field(ge=1, json_schema_extra={"unit": "rows"})] = 2000
    """Most judged rows on which importance is measured. Change it when judging takes too long."""

    importance_repeats: Count = 3
    """Shuffles of each column. Change it when importance must be known more precisely: raise it."""

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
    """A clip, or a features parquet; null is refused. Give it in every run."""

    corpus_jsonl: Path | None = None
    """Corpus JSONL with the metadata of the parquet's clips; null: none. Change it when the model
    has metadata among its inputs."""

    corpus: str = "konvid-150k"
    """Corpus of clips without a row in ``corpus_jsonl``. Change it when they are of another
    corpus."""

    memory_limit_mb: MemoryLimit = 1536
    probe_timeout_s: ProbeTimeout = 60.0

    outside: Literal["clip", "refuse"] = "clip"
    """What happens when a value is outside the range that the model was trained on: ``clip`` it to
    that range, or ``refuse``. Change it when no clip may be unlike those of the training."""

    missing: Literal["refuse", "impute"] = "refuse"
    """What happens when the parquet lacks columns: ``refuse``, or ``impute`` typical values. Change
    it when rough predictions are enough."""


class GridParameters(Parameters):
    """Block ``protocol.grid``: candidates of an RBF-SVR, as powers of two."""

    c_log2: tuple[float, float, Count] = (1.0, 10.0, 10)
    """Candidates of C: log2 of the first and the last, and how many. Change it to the grid of the
    script that you repeat."""

    gamma_log2: tuple[float, float, Count] = (-8.0, 1.0, 10)
    """Candidates of gamma, in the same way. Change it to the grid of the script that you repeat."""

    epsilon: Annotated[float, Field(ge=0)] = 0.1
    """Error that costs nothing, in the unit of MOS. Change it to that of the script that you
    repeat."""

    tolerance: Positive = 1e-3
    """Tolerance at which training stops. Change it rarely."""

    draw: Count | None = None
    """Number of candidates to try, drawn at random; null: all. No candidate is drawn twice. Change
    it to 10 for the scripts that search at random."""

    draw_seed: int = 0
    """Seed of the draw of the candidates. Change it when you want another draw."""


class InnerParameters(Parameters):
    """Block ``protocol.inner``: how a candidate is chosen inside the training part."""

    kind: Literal["holdout", "kfold"] = "holdout"
    """Validation on one part of the training part, or on each of its folds in turn. Change it to
    that of the script that you repeat."""

    validation_share: Share = 0.2
    """Share that validates under ``kind: holdout``. Change it to that of the script that you
    repeat."""

    seed_factor: Positive = 6.6
    """Under ``kind: holdout``, the seed of split i is ceil(factor × i). Change it to that of the
    script that you repeat."""

    folds: Annotated[int, Field(ge=2)] = 3
    """Folds under ``kind: kfold``. Change it to those of the script that you repeat."""

    criterion: Literal["rmse_logistic", "rmse", "r2", "srocc"] = "rmse_logistic"
    """Measure by which a candidate is chosen; ``rmse_logistic`` is RMSE after the logistic fit.
    Change it to that of the script that you repeat: GridSearchCV takes ``r2``."""


class ScalingParameters(Parameters):
    """Block ``protocol.scaling``: min-max scaling, and on which rows it is fitted."""

    low: float = 0.0
    """Lower end of the range, below ``high``. Change it to that of the script that you repeat: some
    take -1."""

    high: float = 1.0
    """Upper end of the range. Change it to that of the script that you repeat."""

    inner_fit: Literal["inner_train", "train"] = "inner_train"
    """Rows on which the scaler is fitted in the search; ``train`` is before the inner split. Change
    it to those of the script that you repeat."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        return self


class ImputationParameters(Parameters):
    """Block ``protocol.imputation``: what replaces NaN and infinity."""

    fill: Literal["zero", "mean", "median"] = "zero"
    """Value that replaces them: zero, or the mean or median of the column. Change it to that of the
    script that you repeat."""

    fit: Literal["all", "train"] = "all"
    """Rows from which mean and median are computed. Change it to ``train`` when test rows must have
    no part in them."""


class ProtocolParameters(Parameters):
    """Block ``protocol``: repeated splits of an RBF-SVR with grid search.

    How the published scripts differ is in docs/mos_head.md.
    """

    tables: Annotated[tuple[Path, ...], BeforeValidator(split_names)] = ()
    """CSV and parquet files to evaluate; none: the features table. An example is
    ``[/a/konvid_1k.csv, /a/live_vqc.csv]``; on the command line they are joined by ``+``. Change it
    when the table is not that of ``extract``, or there are several."""

    mos_column: str = "mos"
    """Column of the MOS. Change it when your table names it otherwise."""

    columns: tuple[str, ...] | None = None
    """Input columns; null: every column of numbers. ``mos_column``, ``group_column`` and
    ``exclude`` are then left out. Change it when you want a part of them."""

    exclude: tuple[str, ...] = ()
    """Columns that are no inputs. Change it when the table has numbers that are no features."""

    group_column: str | None = None
    """Column by whose values the table is split; null: by rows. Change it when rows of one content
    must stay together."""

    splits: Count = 100
    """Number of splits. Change it to those of the script that you repeat: some have 19."""

    first_split: Annotated[int, Field(ge=0)] = 1
    """Number of the first split. Change it to that of the script that you repeat."""

    test_share: Share = 0.2
    """Share of the test part. Change it to that of the script that you repeat."""

    seed_factor: Positive = 8.8
    """The seed of split i is ceil(factor × i). Change it to that of the script that you repeat."""

    seeds: tuple[int, ...] | None = None
    """Seed of each split; null: by ``seed_factor``. A list also takes the place of ``splits``.
    Change it when the script that you repeat has a list."""

    chosen: tuple[tuple[Positive, Positive], ...] | None = None
    """C and gamma of every split; null: by a search. Change it to the values of a published log
    when its search was random."""

    clip: tuple[float, float] | None = None
    """Range to which predictions are cut; null: none. An example is ``[1, 5]``. Change it to that
    of the script that you repeat."""

    imputation: ImputationParameters = ImputationParameters()
    scaling: ScalingParameters = ScalingParameters()
    grid: GridParameters = GridParameters()
    inner: InnerParameters = InnerParameters()
    fit: FitParameters = FitParameters(max_evaluations=100_000_000)

    @model_validator(mode="after")
    def _tables_have_names_of_their_own(self) -> Self:
        names = [path.stem for path in self.tables]
        if same := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"tables has several files named {same[0]}: rename all but one")
        return self

    @model_validator(mode="after")
    def _chosen_for_every_split(self) -> Self:
        if self.chosen is not None and len(self.tables) > 1:
            raise ValueError("chosen holds the values of one table, and tables names several")
        splits = self.splits if self.seeds is None else len(self.seeds)
        if self.chosen is not None and len(self.chosen) != splits:
            raise ValueError(f"chosen has {len(self.chosen)} pairs for {splits} splits")
        return self


CLAMP = (MOS_MIN, MOS_MAX)
"""Range of the exported model's output."""
