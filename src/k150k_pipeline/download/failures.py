"""Why a download failed, and whether another try may help."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import time

import aiohttp

from k150k_pipeline.download.guard import PrivateAddressError
from k150k_pipeline.errors import ClipError

UNFETCHED = frozenset({"connection", "timeout", "name_unresolved"})
"""Reasons in which no server answered, so that nothing is known about the clip."""

_FORBIDDEN = (401, 403)
_GONE = (404, 410)
_TRANSIENT = (408, 425, 500, 502, 503, 504)


class DownloadError(ClipError):
    """A clip could not be downloaded, and another try will not help.

    Characters that cannot be printed are replaced in the detail: servers also send binary data
    and control sequences of a terminal.
    """

    def __init__(self, reason: str, detail: str) -> None:
        printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in detail)
        super().__init__("download", reason, printable)


class TransientError(DownloadError):
    """A try failed; another may succeed.

    Attributes:
        retry_after_s: Seconds to wait, from the server's Retry-After; None if it sends none.
    """

    def __init__(self, reason: str, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason, detail)
        self.retry_after_s = retry_after_s


def failure_of_status(response: aiohttp.ClientResponse) -> DownloadError:
    """Return the failure that an HTTP status means."""
    status = response.status
    detail = f"HTTP {status} {_phrase(response)} from {response.url}"
    if status in _GONE:
        return DownloadError("not_found", detail)
    if status in _FORBIDDEN:
        return DownloadError("forbidden", detail)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return TransientError("rate_limited", detail, _retry_after(response))
    if status in _TRANSIENT:
        return TransientError("server_error", detail, _retry_after(response))
    return DownloadError("server_error" if status >= 500 else "http_error", detail)


def failure_of_exception(error: Exception, url: str) -> DownloadError:
    """Return the failure that an exception of the HTTP client means."""
    detail = f"{url}: {str(error) or type(error).__name__}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        if isinstance(error.os_error, PrivateAddressError):
            return DownloadError("private_address", f"{url}: {error.os_error.strerror}")
        return TransientError("name_unresolved", detail)
    if isinstance(error, asyncio.TimeoutError):
        return TransientError("timeout", detail)
    if isinstance(error, aiohttp.ClientPayloadError):
        return TransientError("incomplete", detail)
    if isinstance(error, aiohttp.InvalidURL):
        return DownloadError("bad_url", detail)
    if isinstance(error, aiohttp.ClientSSLError):
        return DownloadError("tls", detail)
    return TransientError("connection", detail)


def _phrase(response: aiohttp.ClientResponse) -> str:
    try:
        return HTTPStatus(response.status).phrase
    except ValueError:
        return response.reason or ""


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Return the seconds in Retry-After, or until the date in it; None if it is unreadable."""
    value = response.headers.get("Retry-After", "").strip()
    try:
        return max(float(value) if value.isdigit() else _until(value), 0.0)
    except (TypeError, ValueError):
        return None


def _until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time()
