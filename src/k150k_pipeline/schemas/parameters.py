"""Parameter blocks of the pipelines; Kedro validates them before the first node runs.

Each parameter is explained here and nowhere else: ``make docs`` writes docs/parameters.md and
conf/base from these models. The first sentence of an explanation becomes the comment in YAML;
the part that begins with "Change it" becomes a column of its own. What several blocks have in
common is a type of its own that carries the explanation.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from k150k_pipeline.storage.settings import Settings

Corpus = Literal["k150ka", "k150kb", "konvid_150k", "konvid_1k"]
PlanName = Literal["identity", "full"]

BUILT_IN_MODEL = "vmaf_v0.6.1"
"""The model that every libvmaf has, and that the identity plan is made for."""

_MODEL_FILE = re.compile(r"[^:=|,;'\\\[\]\x00-\x1f]+\.json")


class Parameters(BaseModel):
    """Base of every block: unknown names are errors, values never change during a run."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def underscored(value: object) -> object:
    """Take ``konvid-150k`` as rows spell it, too."""
    return value.replace("-", "_") if isinstance(value, str) else value


def split_names(value: object) -> object:
    """Take names as one text with ``+`` between them, as the command line gives them, too."""
    return value.split("+") if isinstance(value, str) else value


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


ExtraColumn = Literal["fps", "is_hdr"]
Seconds = Annotated[float, Field(gt=0, json_schema_extra={"unit": "seconds"})]
Count = Annotated[int, Field(ge=1)]
Clips = Annotated[int, Field(ge=1, json_schema_extra={"unit": "clips"})]


def _known_model(value: str) -> str:
    """Take the built-in model, or a path that needs no quoting by libvmaf or ffmpeg."""
    if value != BUILT_IN_MODEL and not _MODEL_FILE.fullmatch(value):
        raise ValueError(
            f"{value} is neither {BUILT_IN_MODEL} nor the path of a .json file that has none of "
            "the characters : = | , ; ' \\ [ ]"
        )
    return value


VmafModel = Annotated[
    str,
    AfterValidator(_known_model),
    Field(
        description="VMAF model: ``vmaf_v0.6.1``, or a ``.json`` file of libvmaf. A file needs "
        "``extract.plan=full``, and a digest of it enters the fingerprint. Change it when you want "
        "the scores of another model."
    ),
]
Limit = Annotated[
    Clips | None,
    Field(
        description="Process only the first N labelled clips by name; null: all. Clips that are "
        "done count towards N, and every known row is written. Change it for a smoke test."
    ),
]
Workers = Annotated[
    Annotated[int, Field(ge=1, le=1024)] | None,
    Field(
        description="Processes that work on this pipeline; null: one per core. Other pipelines of "
        "the same run have their own number. ``--runner-params max_workers=N`` limits each of "
        "them and the whole run. Change it when memory is short, or the machine is shared."
    ),
]
SHARDS = 128
Shards = Annotated[
    int,
    Field(
        ge=1,
        le=4096,
        description="Kedro nodes that the clips are divided among. A worker runs one at a time. "
        "The number may differ between runs. Change it when there are more cores than shards.",
    ),
]
FlushEvery = Annotated[
    Clips,
    Field(
        description="Clips between two progress lines of the log. On a terminal there is a bar "
        "instead. It has no effect on what is written. Change it when the log is too long or too "
        "quiet."
    ),
]
MaxAttempts = Annotated[
    int,
    Field(
        ge=1,
        le=100,
        description="Tries per clip over all runs with one fingerprint. After that the clip is "
        "given up: it is not due, and stays in the failures table. Change it when clips were "
        "given up and the cause is repaired: raise it.",
    ),
]
MaxFailureRate = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="Highest failed ÷ (failed + rows), over all runs. Above it the run ends with "
        "an error after every file is written. Change it when you know how many clips are bad.",
    ),
]
OnEngineChange = Annotated[
    Literal["refuse", "rescore", "mix"],
    Field(
        description="What to do about journal rows with another fingerprint. ``refuse`` the run, "
        "``rescore`` the clips, or ``mix`` both in one table. Change it when engine, model, plan "
        "or version has changed. Under ``rescore`` the output has only rows of the new "
        "fingerprint, so it is incomplete until every clip is scored again; until then "
        "``rescore`` must stay set."
    ),
]
LEAST_MEMORY_MB = 256
MemoryLimit = Annotated[
    int,
    Field(
        ge=LEAST_MEMORY_MB,
        json_schema_extra={"unit": "MiB"},
        description="Most memory of each process that opens a clip. Heap, thread stacks and "
        "decoded pictures count; code, mapped files and shared memory do not. A clip that needs "
        "more fails as ``memory``. Change it when sound clips fail so: large pictures and many "
        "threads need more.",
    ),
]
ProbeTimeout = Annotated[
    Seconds,
    Field(
        description="Wall-clock limit of looking at one clip. That is its headers, its first frame "
        "and, where its hash is wanted, all of its bytes. Change it when the disk is slow."
    ),
]
ScoreScale = Annotated[
    Literal["mos", "fraction_of_five"],
    Field(
        description="Scale of the scores. ``mos``: they are 1–5. ``fraction_of_five``: they are "
        "MOS ÷ 5. Change it when the run refuses a file because no value is above 1."
    ),
]


class VmafParameters(Parameters):
    """Block ``vmaf``: which engine scores, and how it is called.

    Of this block, the engine, its versions, the decoder and the model enter the fingerprint
    (docs/files.md). ``threads``, ``no_cuda``, ``gpu_processes``, ``scratch_dir`` and
    ``clip_timeout_s`` do not.
    """

    backend: Literal["auto", "native", "embedded", "cpu", "cuda"] = "auto"
    """Engine that scores; docs/backends.md compares them. ``auto`` is ``native`` where the package
    was installed with a C compiler, except under ``extract.plan=full``, and else ``embedded``; both
    give the same values. Change it when you have built the fork's ``vmaf`` and want its values."""

    model: VmafModel = BUILT_IN_MODEL

    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads of the decoder and of libvmaf, per clip. ``native`` always has one. Change it when
    fewer clips are due than there are cores."""

    ffmpeg: Path | None = None
    """The ffmpeg binary; null: that of the ``imageio-ffmpeg`` wheel. ``embedded`` decodes and
    scores with it and needs its libvmaf filter, and so does ``native`` with the clips that it
    leaves to ``embedded``; ``cpu`` and ``cuda`` only decode with it. Change it when that binary
    does not run on your system."""

    cpu_binary: Path = Path("core/build-cpu/tools/vmaf")
    """The fork's ``vmaf`` that scores on the CPU. A CUDA build works too. Change it when it was
    built elsewhere."""

    cuda_binary: Path = Path("core/build-cuda/tools/vmaf")
    """The fork's CUDA ``vmaf``. Change it when it was built elsewhere."""

    no_cuda: bool = False
    """Pass ``--no_cuda --no_sycl`` to the CPU ``vmaf`` binary too. It excludes ``backend: cuda``.
    Leave it: the binary gets ``--backend cpu``, or these two where it knows no ``--backend``."""

    gpu_processes: Annotated[int, Field(ge=1, le=64)] = 8
    """Most ``vmaf`` processes on the GPU at once. Further workers wait for their turn. All runs of
    one user on one machine share this limit. Change it when GPU memory runs out, or most of it
    stays free."""

    scratch_dir: Path = Path("/tmp/k150k_yuv_scratch")
    """Folder of decoded YUV that shared memory has no room for. ``cpu`` and ``cuda`` also use it
    when the container states no frame count. Change it when its disk is small or slow."""

    clip_timeout_s: Seconds = 900.0
    """Wall-clock limit of one child process. With ``embedded`` that process decodes and scores;
    with ``cpu`` and ``cuda`` decoding and each ``vmaf`` pass have a process of their own; with
    ``native`` no process but the helper does, and it has this limit twice, as ``embedded`` may have
    to score the clip after it. Change it when clips are long, or the full plan runs on a slow
    machine."""

    @property
    def uses_a_binary(self) -> bool:
        """Whether the fork's ``vmaf`` scores."""
        return self.backend in ("cpu", "cuda")

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if self.backend == "cuda" and self.no_cuda:
            raise ValueError("backend cuda and no_cuda exclude each other; set one of them")
        return self


class ExtractParameters(Parameters):
    """Block ``extract``: what is extracted, how the work is divided, when a run fails.

    Of this block, only ``plan`` enters the fingerprint. ``score_scale`` has no effect with labels
    from a corpus, which are MOS already.
    """

    corpus: Annotated[Corpus, BeforeValidator(underscored)] = "k150ka"
    """Corpus whose clips are extracted: which catalog entries are used, such as ``k150ka_*``.
    ``konvid_150k`` is both parts. A run of the default pipeline takes the corpus that it ingests
    instead. Change it when you extract part B, the whole, or KonViD-1k."""

    labels: Literal["scores", "corpus"] | None = None
    """Where names and MOS come from. ``scores`` is the scores CSV; ``corpus`` is the JSONL of
    ``ingest``, for ``k150ka`` and ``k150kb`` that of ``konvid_150k``. Null is ``scores`` for
    ``k150ka`` and ``k150kb``, and ``corpus`` for the others, which have nothing else. Change it
    when rows that ingest refused must not be extracted either."""

    plan: PlanName = "identity"
    """What the engine measures. ``identity`` runs motion and CAMBI and fills in the values that an
    identity pair must have; ``full`` runs every extractor that the engine has. Change it when you
    want every value measured."""

    limit: Limit = None
    workers: Workers = None
    shards: Shards = SHARDS
    flush_every: FlushEvery = 200
    max_attempts: MaxAttempts = 3
    max_failure_rate: MaxFailureRate = 0.05
    memory_limit_mb: MemoryLimit = 1536
    probe_timeout_s: ProbeTimeout = 60.0

    verify_clips: Annotated[int, Field(ge=0, le=1000, json_schema_extra={"unit": "clips"})] = 2
    """Due clips that are scored under both plans before the first shard. Of each, the first 24
    frames are scored. The run stops on a disagreement beyond the tolerance. Clips that cannot be
    scored are skipped; at most ten are drawn for each one that is wanted. Plans are verified once
    per fingerprint and journal; remove ``verified.jsonl`` from the journal to verify them again. It
    has no effect with ``plan: full``. Change it when you want stronger proof on your own clips:
    raise it; 0 skips the verification."""

    verify_seed: int = 0
    """Seed of the draw of the clips that are scored under both plans. Change it when you want other
    clips."""

    small_clips: Literal["fail", "nan"] = "fail"
    """What happens to a clip that is too small for ``float_ms_ssim`` or ``cambi``. ``fail``: it
    fails as ``too_small``, under both plans. ``nan``: it keeps its row, and these columns are NaN.
    The limits are in docs/backends.md. Change it when the corpus has small clips that you want to
    keep. Clips already given up need a higher ``max_attempts`` too."""

    score_scale: ScoreScale = "mos"

    bad_labels: Literal["refuse", "skip"] = "refuse"
    """What happens to bad rows of the labels: ``refuse`` the file, or ``skip`` and report them. A
    row is bad without a usable name, with a value outside 1–5, with a name seen before, or with an
    unusable deviation, count or checksum. Of a repeated name, the first row counts. Change it when
    you have looked at the rows and accept the loss."""

    legacy: Literal["take_over", "take_over_what_fits", "ignore"] = "take_over"
    """What happens to the files of the older script. ``take_over`` its rows and check its
    ``.done``; the run is refused if a row does not fit our columns. ``take_over_what_fits`` scores
    the clips of such rows. ``ignore`` the files. In all cases, what this package did not write is
    kept under another name before it is replaced: see "Files of the older scripts" in
    docs/flags.md. Change it when the run is refused, or you want all clips scored by this
    engine."""

    on_engine_change: OnEngineChange = "refuse"

    on_clip_change: Literal["rescore", "refuse", "keep"] = "rescore"
    """What to do about a clip that is not the file that its row was made from: another file under
    its name. ``rescore`` the clip, ``refuse`` the run, or ``keep`` the row. A file with another
    time of change is hashed and, if its bytes are the same, keeps its row. Rows of older versions
    do not record the file and are kept. Change it when clips are replaced that must not be
    scored again."""

    metadata_jsonl: Path | None = None
    """JSON-lines sidecar whose columns follow the 48; null: none. Change it for CHUG, or any corpus
    with content and split metadata."""

    metadata_columns: tuple[str, ...] = ()
    """Further keys of the sidecar to append (docs/enrich.md). Change it when you need more than the
    six metadata columns."""

    extra_columns: Annotated[
        tuple[ExtraColumn, ...], BeforeValidator(split_names), AfterValidator(_each_once)
    ] = ()
    """Columns of a second table: ``fps``, ``is_hdr``. They are read from the headers of the clips,
    which are not scored again; docs/files.md has their meaning. On the command line
    ``fps+is_hdr``. Change it when your training uses them."""

    @model_validator(mode="after")
    def _has_labels(self) -> Self:
        if self.corpus.startswith("konvid") and self.labels == "scores":
            raise ValueError(f"{self.corpus} has no scores CSV of its own; use labels corpus")
        return self


class StoreParameters(Parameters):
    """Block ``store``: how files behind a URL, such as ``s3://bucket/key``, are read and written.

    It has no effect on files of this machine, nor on what is written (docs/storage.md).
    """

    prefetch_clips: Annotated[int, Field(ge=1, le=256, json_schema_extra={"unit": "clips"})] = (
        Settings.prefetch_clips
    )
    """Most clips that a worker has on its disk or fetches ahead. Change it when workers wait for
    clips: raise it."""

    prefetch_mb: Annotated[int, Field(ge=1, json_schema_extra={"unit": "MiB"})] = (
        Settings.prefetch_mb
    )
    """Most MiB of clips that a worker has on its disk. A larger clip is there alone. Change it when
    the disk behind ``TMPDIR`` is small."""

    segment_clips: Annotated[int, Field(ge=1, le=10_000, json_schema_extra={"unit": "clips"})] = (
        Settings.segment_clips
    )
    """Most finished clips of a worker that are in no object yet. So many are lost when its machine
    is. Change it when clips take long: lower it."""

    segment_s: Seconds = Settings.segment_s
    """Most time for which a finished clip is in no object. Change it when requests
    are dear: raise it."""

    lease_s: Annotated[float, Field(ge=5, le=3600, json_schema_extra={"unit": "seconds"})] = (
        Settings.lease_s
    )
    """Time without renewal after which a lock may be taken over. Change it
    when the network is away for longer: raise it."""

    patience_s: Seconds = Settings.patience_s
    """Time for which a request that fails is made again. Change it when the store is away for
    longer: raise it."""


class SampleParameters(Parameters):
    """Block ``sample``: the synthetic drop that ``--env=sample`` makes for itself.

    Labels and votes of the sample are made up.
    """

    enabled: bool = False
    """Make the sample's clips, labels and votes first. Every pipeline that reads them then does so.
    Leave it to ``--env=sample``: elsewhere it would overwrite your scores CSV."""

    seconds: Annotated[float, Field(gt=0, le=10, json_schema_extra={"unit": "seconds"})] = 5.0
    """Length of a clip. Clips that exist already are not made again. Change it for a quicker
    demonstration."""
