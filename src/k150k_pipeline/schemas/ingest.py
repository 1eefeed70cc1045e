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
    Parameters,
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
    """Transfers at a time. Change it when the line is not full, or is."""

    per_host: Annotated[int, Field(ge=1, le=512)] = 8
    """Connections to one host at a time. Change it when the host allows more, or less."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 5
    """Tries per clip within a run. Change it when the line is poor."""

    backoff_s: Seconds = 1.0
    """Wait before the second try. It doubles with each further one, and up to as much again is
    added at random. Change it rarely."""

    max_backoff_s: Seconds = 60.0
    """Longest wait between two tries. Change it rarely."""

    max_retry_after_s: Seconds = 3600.0
    """Longest wait that a server can ask for. Change it when a server asks for hours."""

    connect_timeout_s: Seconds = 20.0
    """Limit of connecting. Change it when the line is slow."""

    stall_timeout_s: Seconds = 60.0
    """Limit of a pause between two reads. Change it when the line is slow."""

    clip_timeout_s: Seconds = 1800.0
    """Limit of the transfer of one clip. It holds for all tries together, waits left out. Change it
    when clips are large and the line is slow."""

    max_bytes: Annotated[int, Field(ge=1, json_schema_extra={"unit": "bytes"})] = 500_000_000
    """A larger clip is refused. Change it when clips are larger."""

    max_redirects: Annotated[int, Field(ge=0, le=100)] = 10
    """Redirects followed per try. Change it rarely."""

    allow_private: bool = False
    """Ask loopback, private and link-local addresses too. Change it when the server is your own."""

    proxy_from_environment: bool = False
    """Use ``HTTP_PROXY`` and its kin. The proxy resolves the names, so what they lead to cannot be
    checked. Change it when you are behind a proxy."""

    unreachable_limit: Clips = 50
    """Clips in a row without an answer that end the run. Change it when many hosts of the manifest
    are gone."""

    retry_failed: Annotated[tuple[FailureClass, ...], BeforeValidator(_split_classes)] = ()
    """Reasons whose given-up clips are tried again, or ``all``. On the command line
    ``timeout+connection``. The reasons are under "Why a download fails" in docs/ingest.md. Change
    it when the cause may be gone. Give it for one run, not in ``conf/local``."""


class IngestParameters(Parameters):
    """Block ``ingest``: which drop is read, how far its clips are trusted, what refuses a run.

    What the words mean is in docs/ingest.md. ``probe`` and ``integrity`` enter the fingerprint of
    the journal; nothing else does. Downloads are one process, whatever ``workers`` is.
    """

    corpus: CorpusName = "konvid-150k"
    """Corpus that the drop is; it goes into every row. Change it when you ingest KonViD-1k."""

    layout: Literal["auto", "manifest", "split", "konvid_1k"] = "auto"
    """Layout of the drop; ``auto`` takes the first that fits. Change it when the drop has both a
    manifest and split tables."""

    manifest_csv: Path | None = None
    """A manifest elsewhere; null: by layout. If it is missing, nothing else is tried. Change it
    when its name or place differs."""

    corpus_version: Annotated[str, Field(min_length=1)] | None = None
    """Release that goes into every row; null: that of the corpus. It is ``konvid-150k-2019`` or
    ``konvid-1k-2017``. Change it when the release differs."""

    score_scale: ScoreScale = "mos"

    min_rows: Annotated[int, Field(ge=0, json_schema_extra={"unit": "rows"})] = 5000
    """Fewer rows are no KonViD-150k. K150K-B alone is exempt. Change it when you ingest a
    subset."""

    max_rows: Annotated[int, Field(ge=1, json_schema_extra={"unit": "rows"})] = 1500
    """More rows are no KonViD-1k. Change it when your table has more."""

    limit: Limit = None
    workers: Workers = None
    shards: Shards = SHARDS
    flush_every: FlushEvery = 200

    probe: Literal["pyav", "ffprobe", "none"] = "pyav"
    """What looks at a clip. ``none`` gives rows without facts, and no download. Change it when you
    compare with ffprobe, or want labels alone."""

    ffprobe: Path = Path("ffprobe")
    """The binary for ``probe: ffprobe``, by path or name. Change it when it is not on the path."""

    integrity: Literal["header", "decode"] = "header"
    """How far a clip is trusted: by its headers, or when every frame decodes. Change it when clips
    must decode before you train on them."""

    clip_timeout_s: Seconds = 900.0
    """Wall-clock limit of decoding one clip under ``integrity: decode``. Change it when clips are
    long."""

    mos_tolerance: Annotated[float, Field(ge=0, json_schema_extra={"unit": "MOS"})] = 0.01
    """A clip whose votes give a mean further from its MOS is reported. Change it when the table is
    rounded."""

    attrition_warn_threshold: Annotated[float, Field(ge=0, le=1)] = 0.10
    """Highest failed downloads ÷ clips with an address. Above it there is a warning, and nothing
    else. Change it when you expect more loss."""

    progress_path: Path | None = None
    """The download-progress file; null: in the drop. There it is ``.download-progress.json``.
    Change it when the drop is read-only (then its ``clips/`` must not be)."""

    download: DownloadParameters = DownloadParameters()

    @property
    def version(self) -> str:
        """Release of the corpus that goes into every row."""
        return self.corpus_version or DEFAULT_VERSIONS[self.corpus]
