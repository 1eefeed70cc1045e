"""Parameters of ingest, and what its nodes hand to each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from k150k_pipeline.schemas.corpus import CorpusName
from k150k_pipeline.schemas.parameters import Parameters

Seconds = Annotated[float, Field(gt=0)]

DEFAULT_VERSIONS = {"konvid-150k": "konvid-150k-2019", "konvid-1k": "konvid-1k-2017"}


DOWNLOAD_REASONS = (
    "bad_url", "connection", "encoded", "forbidden", "http_error", "incomplete", "name_unresolved",
    "not_found", "not_video", "private_address", "rate_limited", "server_error", "timeout", "tls",
    "too_large", "too_many_redirects", "truncated", "wrong_checksum",
)  # fmt: skip
"""Why a download can fail: the classes that ``retry_failed`` knows."""

_OLDER_SCRIPT = "curl-rc="


def _split_classes(value: object) -> object:
    """Take ``timeout+connection``: a comma separates parameters on Kedro's command line."""
    return value.split("+") if isinstance(value, str) else value


def _check_class(value: str) -> str:
    if value not in ("all", *DOWNLOAD_REASONS) and not value.startswith(_OLDER_SCRIPT):
        known = ", ".join(DOWNLOAD_REASONS)
        raise ValueError(f"{value!r} is no class of reason; there are all, {known}")
    return value


FailureClass = Annotated[str, AfterValidator(_check_class)]


class DownloadParameters(Parameters):
    """Block ``ingest.download``: how clips are fetched, and when one is given up.

    Attributes:
        concurrency: Transfers at a time.
        per_host: Connections to one host at a time.
        attempts: Tries per clip within a run.
        backoff_s: Wait before the second try; it doubles with each further one.
        max_backoff_s: Longest such wait.
        max_retry_after_s: Longest wait that a server's Retry-After can ask for.
        connect_timeout_s: Limit of connecting.
        stall_timeout_s: Limit of a pause between two reads.
        clip_timeout_s: Limit of a clip's transfer over all tries, waits left out.
        max_bytes: A larger clip is refused.
        max_redirects: Redirects followed per try.
        allow_private: Whether loopback, private and link-local addresses may be asked.
        proxy_from_environment: Whether HTTP_PROXY and its like are used; what they lead to is
            resolved by the proxy and cannot be checked here.
        unreachable_limit: So many clips in a row that no server answered for end the run.
        retry_failed: Classes of reason (``timeout``, ``connection``, … or ``all``) whose clips
            are tried again although an earlier run gave them up.
    """

    concurrency: Annotated[int, Field(ge=1, le=512)] = 16
    per_host: Annotated[int, Field(ge=1, le=512)] = 8
    attempts: Annotated[int, Field(ge=1, le=100)] = 5
    backoff_s: Seconds = 1.0
    max_backoff_s: Seconds = 60.0
    max_retry_after_s: Seconds = 3600.0
    connect_timeout_s: Seconds = 20.0
    stall_timeout_s: Seconds = 60.0
    clip_timeout_s: Seconds = 1800.0
    max_bytes: Annotated[int, Field(ge=1)] = 500_000_000
    max_redirects: Annotated[int, Field(ge=0, le=100)] = 10
    allow_private: bool = False
    proxy_from_environment: bool = False
    unreachable_limit: Annotated[int, Field(ge=1)] = 50
    retry_failed: Annotated[tuple[FailureClass, ...], BeforeValidator(_split_classes)] = ()


class IngestParameters(Parameters):
    """Block ``ingest``: which drop is read, how far its clips are trusted, what refuses a run."""

    corpus: CorpusName = "konvid-150k"
    layout: Literal["auto", "manifest", "split", "konvid_1k"] = "auto"
    manifest_csv: Path | None = None
    corpus_version: Annotated[str, Field(min_length=1)] | None = None
    score_scale: Literal["mos", "fraction_of_five"] = "mos"
    min_rows: Annotated[int, Field(ge=0)] = 5000
    max_rows: Annotated[int, Field(ge=1)] = 1500
    limit: Annotated[int, Field(ge=1)] | None = None
    workers: Annotated[int, Field(ge=1, le=1024)] | None = None
    shards: Annotated[int, Field(ge=1, le=4096)] | None = None
    flush_every: Annotated[int, Field(ge=1)] = 200
    probe: Literal["pyav", "ffprobe", "none"] = "pyav"
    ffprobe: Path = Path("ffprobe")
    integrity: Literal["header", "decode"] = "header"
    clip_timeout_s: Seconds = 900.0
    mos_tolerance: Annotated[float, Field(ge=0)] = 0.01
    attrition_warn_threshold: Annotated[float, Field(ge=0, le=1)] = 0.10
    progress_path: Path | None = None
    download: DownloadParameters = DownloadParameters()

    @property
    def version(self) -> str:
        """Release of the corpus that goes into every row."""
        return self.corpus_version or DEFAULT_VERSIONS[self.corpus]


class Label(BaseModel):
    """What a drop says of one clip; ``folder`` is the index of its clip folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mos: float
    mos_std_dev: float
    n_ratings: int
    url: str
    checksum: str
    folder: int


class DropLabels(BaseModel):
    """What the tables of a drop say.

    Attributes:
        layout: ``manifest``, ``split`` or ``konvid_1k``.
        tables: Score tables.
        folders: Clip folder of each table.
        votes: Vote tables.
        rows: Label by clip file name, sorted.
        problems: One message per row left out, with file and line.
        repeated: Names that occurred again with the same MOS.
        disagreements: Clips whose votes do not give their MOS.
        bad_votes: Number of vote rows left out.
        vote_problems: Why, for the first of them.
        votes_without_label: Number of clips that have votes and no label.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layout: str
    tables: list[str]
    folders: list[str]
    votes: list[str]
    rows: dict[str, Label]
    problems: list[str]
    repeated: list[str]
    disagreements: list[str]
    bad_votes: int
    vote_problems: list[str]
    votes_without_label: int


class IngestPlan(BaseModel):
    """What a run sets out to do, fixed before its first clip.

    Attributes:
        fingerprint: Key of how clips are probed.
        accepted: Other fingerprints whose journaled facts are good enough.
        scoring: What the fingerprint stands for.
        wanted: Number of labelled clips.
        fetch: Clips to download and probe, sorted.
        probe: Clips on the disk to probe, sorted.
        done_before: Number of wanted clips whose facts were known when the run began.
        given_up: Why clips that an earlier run could not download are not tried again, by name.
        left_out: Number of clips that ``ingest.limit`` keeps from being downloaded or probed.
        labels_without_clip: Labelled clips that are neither on the disk nor have a URL.
        clips_without_label: Clip files that no label names.
        torn_lines: Journal lines that a killed writer had left unfinished.
        broken_lines: Journal lines unreadable for another reason, as file:line.
        started_at: Seconds since the epoch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fingerprint: str
    accepted: list[str]
    scoring: dict[str, str]
    wanted: int
    fetch: list[str]
    probe: list[str]
    done_before: int
    given_up: dict[str, str]
    left_out: int
    labels_without_clip: list[str]
    clips_without_label: list[str]
    torn_lines: int
    broken_lines: list[str]
    started_at: float
