"""Parameters of the ingest pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from k150k_pipeline.schemas.corpus import CorpusName
from k150k_pipeline.schemas.parameters import (
    SHARDS,
    Clips,
    FlushEvery,
    Limit,
    MemoryLimit,
    Parameters,
    ProbeTimeout,
    ScoreScale,
    Seconds,
    Shards,
    Workers,
)

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

    On the command line: ``--params ingest.download.concurrency=32``.
    """

    concurrency: Annotated[int, Field(ge=1, le=512)] = 16
    """Transfers at a time. Change it when the network can carry more, or is overloaded."""

    per_host: Annotated[int, Field(ge=1, le=512)] = 8
    """Connections to one host at a time. Change it when the host allows more, or less."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 5
    """Tries per clip within a run. Change it when the network is unreliable."""

    backoff_s: Seconds = 1.0
    """Wait before the second try. It doubles with each further try, and a random time of at most
    the same length is added. Change it rarely."""

    max_backoff_s: Seconds = 60.0
    """Longest wait between two tries. Change it rarely."""

    max_retry_after_s: Seconds = 3600.0
    """Longest wait that a server can request. Change it when a server requests hours."""

    connect_timeout_s: Seconds = 20.0
    """Time limit for connecting. Change it when the network is slow."""

    stall_timeout_s: Seconds = 60.0
    """Time limit for a pause between two reads. Change it when the network is slow."""

    clip_timeout_s: Seconds = 1800.0
    """Time limit for the transfer of one clip. It covers all tries together, without the waits.
    Change it when clips are large and the network is slow."""

    max_bytes: Annotated[int, Field(ge=1, json_schema_extra={"unit": "bytes"})] = 500_000_000
    """Size above which a clip is refused. Change it when clips are larger."""

    max_redirects: Annotated[int, Field(ge=0, le=100)] = 10
    """Redirects followed per try. Change it rarely."""

    allow_private: bool = False
    """Download from loopback, private and link-local addresses too. Change it when the server is
    your own."""

    proxy_from_environment: bool = False
    """Use the proxy that ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY`` set. The proxy resolves
    the names, so their addresses cannot be checked. Change it when you are behind a proxy."""

    unreachable_limit: Clips = 50
    """Clips in a row without an answer after which the run ends. Change it when many hosts of the
    manifest no longer exist."""

    retry_failed: Annotated[tuple[FailureClass, ...], BeforeValidator(_split_classes)] = ()
    """Reasons for which given-up clips are tried again, or ``all``. On the command line
    ``timeout+connection``. The reasons are under "Why a download fails" in docs/ingest.md. Change
    it when the cause may be repaired. Give it for one run, not in ``conf/local``."""


class IngestParameters(Parameters):
    """Block ``ingest``: which drop is read, how its clips are checked, what stops a run.

    The words are explained in docs/ingest.md. Only ``probe`` and ``integrity`` enter the
    fingerprint of the journal. Downloads run in one process; ``workers`` has no effect on them.
    """

    corpus: CorpusName = "konvid-150k"
    """Corpus of the drop; it is written into every row. Change it when you ingest KonViD-1k."""

    layout: Literal["auto", "manifest", "split", "konvid_1k"] = "auto"
    """Layout of the drop; ``auto`` takes the first that fits. Change it when the drop has both a
    manifest and split tables."""

    manifest_csv: Path | None = None
    """Path of the manifest; null: by layout. If this file is missing, no other layout is tried.
    Change it when its name or place differs."""

    corpus_version: Annotated[str, Field(min_length=1)] | None = None
    """Release that is written into every row; null: that of the corpus. That is
    ``konvid-150k-2019`` or ``konvid-1k-2017``. Change it when the release differs."""

    score_scale: ScoreScale = "mos"

    min_rows: Annotated[int, Field(ge=0, json_schema_extra={"unit": "rows"})] = 5000
    """Fewest rows that are accepted as KonViD-150k. K150K-B alone is exempt. Change it when you
    ingest a subset."""

    max_rows: Annotated[int, Field(ge=1, json_schema_extra={"unit": "rows"})] = 1500
    """Most rows that are accepted as KonViD-1k. Change it when your table has more."""

    limit: Limit = None
    workers: Workers = None
    shards: Shards = SHARDS
    flush_every: FlushEvery = 200
    memory_limit_mb: MemoryLimit = 1536
    probe_timeout_s: ProbeTimeout = 60.0

    probe: Literal["pyav", "ffprobe", "none"] = "pyav"
    """Tool that probes a clip. With ``none`` rows have no facts, and nothing is downloaded. Change
    it when you compare with ffprobe, or want labels alone."""

    ffprobe: Path = Path("ffprobe")
    """The binary for ``probe: ffprobe``, by path or name. Change it when it is not on the path."""

    integrity: Literal["header", "decode"] = "header"
    """How much of a clip is checked: its headers, or every frame by decoding it. Change it when
    clips must decode before you train on them."""

    clip_timeout_s: Seconds = 900.0
    """Wall-clock limit of decoding one clip under ``integrity: decode``. Change it when clips are
    long."""

    mos_tolerance: Annotated[float, Field(ge=0, json_schema_extra={"unit": "MOS"})] = 0.01
    """Largest difference of MOS and mean vote that is not reported. Change it when the table is
    rounded."""

    attrition_warn_threshold: Annotated[float, Field(ge=0, le=1)] = 0.10
    """Highest failed downloads ÷ clips with an address. Above it there is a warning, and the run
    goes on. Change it when you expect more loss."""

    progress_path: Path | None = None
    """The download-progress file; null: in the drop. There it is ``.download-progress.json``.
    Change it when the drop is read-only, except for its ``clips/``."""

    download: DownloadParameters = DownloadParameters()

    @property
    def version(self) -> str:
        """Release of the corpus that goes into every row."""
        return self.corpus_version or DEFAULT_VERSIONS[self.corpus]
