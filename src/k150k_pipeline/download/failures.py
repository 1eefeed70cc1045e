"""Why a download failed, and whether another try may help."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import time

import aiohttp

from k150k_pipeline.download.guard import PrivateAddressError
from k150k_pipeline.errors import ClipError

UNREACHABLE = frozenset({"connection", "timeout", "name_unresolved"})
"""Reasons that say nothing about the clip: no server answered."""

_FORBIDDEN = (401, 403)
_GONE = (404, 410)
_PASSING = (408, 425, 500, 502, 503, 504)


class DownloadError(ClipError):
    """A clip could not be downloaded, and asking again will not help.

    What cannot be printed is replaced in the detail: servers send bytes that are no text, and
    such as steer a terminal.
    """

    def __init__(self, reason: str, detail: str) -> None:
        printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in detail)
        super().__init__("download", reason, printable)


class TransientError(DownloadError):
    """A try failed; another may succeed.

    Attributes:
        retry_after_s: Seconds that the server wants us to wait; None where it does not say.
    """

    def __init__(self, reason: str, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason, detail)
        self.retry_after_s = retry_after_s


def failure_of_status(response: aiohttp.ClientResponse) -> DownloadError:
    """Return the failure that an HTTP status means."""
    status = response.status
    said = f"HTTP {status} {_phrase(response)} from {response.url}"
    if status in _GONE:
        return DownloadError("not_found", said)
    if status in _FORBIDDEN:
        return DownloadError("forbidden", said)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return TransientError("rate_limited", said, _retry_after(response))
    if status in _PASSING:
        return TransientError("server_error", said, _retry_after(response))
    return DownloadError("server_error" if status >= 500 else "http_error", said)


def failure_of_exception(error: Exception, url: str) -> DownloadError:
    """Return the failure that an exception of the HTTP client means."""
    said = f"{url}: {str(error) or type(error).__name__}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        if isinstance(error.os_error, PrivateAddressError):
            return DownloadError("private_address", f"{url}: {error.os_error.strerror}")
        return TransientError("name_unresolved", said)
    if isinstance(error, asyncio.TimeoutError):
        return TransientError("timeout", said)
    if isinstance(error, aiohttp.ClientPayloadError):
        return TransientError("incomplete", said)
    if isinstance(error, aiohttp.InvalidURL):
        return DownloadError("bad_url", said)
    if isinstance(error, aiohttp.ClientSSLError):
        return DownloadError("tls", said)
    return TransientError("connection", said)


def _phrase(response: aiohttp.ClientResponse) -> str:
    try:
        return HTTPStatus(response.status).phrase
    except ValueError:
        return response.reason or ""


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Return seconds to wait; a date counts from now, an unreadable value not at all."""
    value = response.headers.get("Retry-After", "").strip()
    try:
        return max(float(value) if value.isdigit() else _until(value), 0.0)
    except (TypeError, ValueError):
        return None


def _until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time()
