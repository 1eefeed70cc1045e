"""The download of one clip with aiohttp: redirects, retries, resume, limits."""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import urljoin

import aiohttp
import tenacity
from yarl import URL

from k150k_pipeline import __version__
from k150k_pipeline.download.encoding import Unpacker
from k150k_pipeline.download.failures import (
    DownloadError,
    TransientError,
    failure_of_exception,
    failure_of_status,
)
from k150k_pipeline.download.guard import (
    BadUrlError,
    PrivateAddressError,
    PublicResolver,
    check_literal,
    parse_url,
)
from k150k_pipeline.download.partial import Partial
from k150k_pipeline.schemas.ingest import DownloadParameters

_REDIRECTS = (301, 302, 303, 307, 308)
_CHUNK_BYTES = 1 << 18
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_DISCARD = ("wrong_checksum", "truncated")


class Downloader:
    """Downloads clips over shared connections; an asynchronous context manager.

    Args:
        limits: Block ``ingest.download``.
    """

    def __init__(self, limits: DownloadParameters) -> None:
        self._limits = limits
        self._not_before: dict[str, float] = defaultdict(float)

    async def __aenter__(self) -> Self:
        limits = self._limits
        any_address = limits.allow_private or limits.proxy_from_environment
        connector = aiohttp.TCPConnector(
            limit=limits.concurrency,
            limit_per_host=limits.per_host,
            resolver=None if any_address else PublicResolver(),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=limits.connect_timeout_s,
                sock_read=limits.stall_timeout_s,
            ),
            headers={"User-Agent": f"k150k-pipeline/{__version__}", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trace_configs=[_queue_outside_budget()],
            trust_env=limits.proxy_from_environment,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def fetch(self, url: str, target: Path, checksum: str | None = None) -> None:
        """Download a clip; it appears at ``target`` whole and durable, or not at all.

        A cancelled call leaves its part, and the next call resumes it where that is safe.

        Args:
            url: Address of the clip.
            target: Path of the clip; its part is ``<target>.part``.
            checksum: Hex digest of its SHA-256, SHA-1 or MD5.

        Raises:
            DownloadError: Stage ``download``; its part is removed.
        """
        part = Partial(target, url)
        try:
            await self._fetch(part, url, checksum)
        except DownloadError:
            part.discard()
            raise
        except OSError as error:
            with suppress(OSError):
                part.discard()
            raise DownloadError("disk", f"{part.path}: {error.strerror or error}") from error

    async def _fetch(self, part: Partial, url: str, checksum: str | None) -> None:
        budget = _Budget(self._limits.clip_timeout_s)
        tries = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self._limits.attempts),
            wait=self._wait,
            retry=tenacity.retry_if_exception_type(TransientError),
            reraise=True,
        )
        async for attempt in tries:
            with attempt:
                await self._try(part, url, checksum, budget)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TransientError) and error.retry_after_s is not None:
            return min(error.retry_after_s, self._limits.max_retry_after_s)
        backoff = tenacity.wait_exponential_jitter(
            multiplier=self._limits.backoff_s,
            max=self._limits.max_backoff_s,
            jitter=self._limits.backoff_s,
        )
        return backoff(state)

    async def _try(self, part: Partial, url: str, checksum: str | None, budget: _Budget) -> None:
        try:
            async with budget:
                response = await self._request(url, part.resume_headers(), budget)
                async with response:
                    content_type = ""
                    if _has_body(part, response):
                        await self._receive(part, response)
                        content_type = response.headers.get("Content-Type", "")
            await asyncio.to_thread(part.complete, content_type, checksum)
        except (TimeoutError, aiohttp.ClientError) as error:
            raise failure_of_exception(error, url) from error
        except TransientError as error:
            if error.reason in _DISCARD:
                part.discard()
            raise

    async def _request(
        self, text: str, headers: Mapping[str, str], budget: _Budget
    ) -> aiohttp.ClientResponse:
        """Follow redirects and return the last answer; every address on the way is checked."""
        base = ""
        for _ in range(self._limits.max_redirects + 1):
            url = self._check(text, base)
            with budget.paused():
                await self._wait_for_host(url)
            response = await self._session.get(
                url, headers=headers, allow_redirects=False, trace_request_ctx=budget
            )
            if response.status not in _REDIRECTS or "Location" not in response.headers:
                self._note_retry_after(response)
                return response
            base, text = str(url), response.headers["Location"]
            response.release()
        raise DownloadError(
            "too_many_redirects", f"{text}: more than {self._limits.max_redirects} redirects"
        )

    def _check(self, text: str, base: str) -> URL:
        try:
            url = parse_url(urljoin(base, text.strip()))
            if not self._limits.allow_private:
                check_literal(url.host or "")
        except PrivateAddressError as error:
            raise DownloadError("private_address", f"{text}: {error.strerror}") from error
        except (BadUrlError, ValueError) as error:
            raise DownloadError("bad_url", str(error)) from error
        return url

    async def _wait_for_host(self, url: URL) -> None:
        """Wait as long as the host demanded by Retry-After."""
        while (wait := self._not_before[url.host or ""] - time.monotonic()) > 0:
            await asyncio.sleep(wait)

    def _note_retry_after(self, response: aiohttp.ClientResponse) -> None:
        failure = failure_of_status(response) if response.status >= 400 else None
        if isinstance(failure, TransientError) and failure.retry_after_s:
            wait = min(failure.retry_after_s, self._limits.max_retry_after_s)
            host = response.url.host or ""
            self._not_before[host] = max(self._not_before[host], time.monotonic() + wait)

    async def _receive(self, part: Partial, response: aiohttp.ClientResponse) -> None:
        unpacker = Unpacker(response.headers.get("Content-Encoding", ""))
        self._refuse_too_large(part.size + (response.content_length or 0), response)
        with part.path.open("ab") as file:
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                for piece in unpacker.feed(chunk):
                    file.write(piece)
                    self._refuse_too_large(file.tell(), response)
            file.write(unpacker.finish())
        _refuse_too_short(part, response)

    def _refuse_too_large(self, size: int, response: aiohttp.ClientResponse) -> None:
        if size > self._limits.max_bytes:
            raise DownloadError(
                "too_large",
                f"{response.url}: more than ingest.download.max_bytes={self._limits.max_bytes}",
            )


class _Budget:
    """Seconds that all tries of a clip may take together; waits for its turn do not count."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._left = seconds

    async def __aenter__(self) -> None:
        self._limit = asyncio.timeout(None)
        await self._limit.__aenter__()
        self.resume()

    async def __aexit__(self, *error: object) -> None:
        self.pause()
        try:
            await self._limit.__aexit__(*error)  # type: ignore[arg-type]
        except TimeoutError as expired:
            raise DownloadError("timeout", f"not done after {self._seconds:g} s") from expired

    def resume(self) -> None:
        """Start to count seconds."""
        self._started = asyncio.get_running_loop().time()
        self._reschedule(self._started + self._left)

    def pause(self) -> None:
        """Stop counting seconds."""
        passed = asyncio.get_running_loop().time() - self._started
        self._left = max(self._left - passed, 0.0)
        self._reschedule(None)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count no seconds within the block."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def _reschedule(self, when: float | None) -> None:
        if not self._limit.expired():
            self._limit.reschedule(when)


def _queue_outside_budget() -> aiohttp.TraceConfig:
    """Return hooks that pause a clip's budget while it waits for a free connection."""

    async def pause(_session: Any, context: SimpleNamespace, _parameters: Any) -> None:
        context.trace_request_ctx.pause()

    async def resume(_session: Any, context: SimpleNamespace, _parameters: Any) -> None:
        context.trace_request_ctx.resume()

    trace = aiohttp.TraceConfig()
    trace.on_connection_queued_start.append(pause)
    trace.on_connection_queued_end.append(resume)
    return trace


def _has_body(part: Partial, response: aiohttp.ClientResponse) -> bool:
    """Prepare the part for an answer; return whether the answer has bytes to receive.

    Raises:
        DownloadError: The status means failure.
        TransientError: The answer does not fit the part, which is discarded.
    """
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    resuming = "Range" in response.request_info.headers
    if response.status == 200:
        part.begin(response.headers)
        return True
    if resuming and response.status == 206:
        if match and match[1] == str(part.size) and _same_version(part, response):
            return True
        part.discard()
        raise TransientError("incomplete", f"{response.url}: the server sent another part")
    if resuming and response.status == 416:
        if match and match[2] == str(part.size):
            return False
        part.discard()
        raise TransientError("incomplete", f"{response.url}: the part does not fit any more")
    raise failure_of_status(response)


def _same_version(part: Partial, response: aiohttp.ClientResponse) -> bool:
    etag = response.headers.get("ETag")
    validator = part.validator() or ""
    same = not etag or not validator.startswith('"') or etag == validator
    return same and not response.headers.get("Content-Encoding")


def _refuse_too_short(part: Partial, response: aiohttp.ClientResponse) -> None:
    """Refuse a part that is shorter than the whole size that the answer states."""
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status == 206 and match and match[2] not in ("*", str(part.size)):
        raise TransientError("incomplete", f"{response.url}: {part.size} of {match[2]} bytes came")
