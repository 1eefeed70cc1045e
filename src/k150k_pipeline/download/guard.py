"""Which addresses of a manifest are allowed: http and https, and none in the local network.

The addresses checked are those that the connection uses, so a host name cannot pass the check and
then resolve to another address.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import quote, urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

_NO_HOST = re.compile(r"[\s\x00-\x20\x7f]")
_AS_WRITTEN = "%/:?#[]@!$&'()*+,;=~"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class BadUrlError(ValueError):
    """A URL that cannot be downloaded from."""


class PrivateAddressError(OSError):
    """An address in the machine's own network."""

    def __init__(self, host: str) -> None:
        super().__init__(
            0,
            f"{host} is not a public address; if it is meant, run with "
            "ingest.download.allow_private=true,ingest.download.retry_failed=private_address",
        )


def parse_url(text: str) -> URL:
    """Return a URL with path and query as they are written.

    A signed address would become invalid if ``%2F`` in it were turned into ``/``.

    Raises:
        BadUrlError: It has no valid host, or a scheme other than http and https.
    """
    try:
        url, written = URL(text.strip()), urlsplit(text.strip())
        host = url.host or ""
        if url.scheme not in ("http", "https") or not host or url.port == 0:
            raise BadUrlError(f"{text!r} is not an http or https address")
        if _NO_HOST.search(host) or not host.encode("idna"):
            raise BadUrlError(f"{text!r} has no valid host")
    except BadUrlError:
        raise
    except ValueError as error:
        raise BadUrlError(f"{text!r}: {error}") from error
    return URL.build(
        scheme=url.scheme,
        authority=url.raw_authority,
        path=quote(written.path, _AS_WRITTEN) or "/",
        query_string=quote(written.query, _AS_WRITTEN),
        encoded=True,
    )


def check_literal(host: str) -> None:
    """Refuse a host that is a private IP address, in any spelling.

    Raises:
        PrivateAddressError: It is one.
    """
    address = _literal(host)
    if address is not None and not is_public(address):
        raise PrivateAddressError(host)


def is_public(address: str) -> bool:
    """Return whether an IP address can be reached from the whole internet."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
    if parsed in _NAT64:
        mapped = ipaddress.IPv4Address(parsed.packed[-4:])
    return all(a.is_global and not a.is_multicast for a in (parsed, mapped) if a is not None)


def _literal(host: str) -> str | None:
    """Return an IP address, also one such as ``127.1`` or ``2130706433``, in its usual form."""
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


class PublicResolver(AbstractResolver):
    """Resolves names as the system does and refuses those that lead to private addresses."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host name.

        Raises:
            PrivateAddressError: One of them is private.
            OSError: The host name is unknown.
        """
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(result["host"]) for result in found):
            raise PrivateAddressError(host)
        return found

    async def close(self) -> None:
        """Release what the system's resolver holds."""
        await self._resolver.close()
