"""Where a manifest may send us: http and https, and no address of the machine's own network.

Names are checked as they are resolved for the connection itself, so that a name that resolves
differently a second time gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL


class BadUrlError(ValueError):
    """A URL that is not for us to follow."""


class PrivateAddressError(OSError):
    """An address of the machine's own network."""

    def __init__(self, host: str) -> None:
        super().__init__(
            0,
            f"{host} is not a public address; set ingest.download.allow_private=true if it is "
            "meant",
        )


def parse_url(text: str) -> URL:
    """Return a URL that can be asked for.

    Raises:
        BadUrlError: No host, or a scheme other than http and https.
    """
    try:
        url = URL(text.strip())
        if url.scheme not in ("http", "https") or not url.host or url.port == 0:
            raise BadUrlError(f"{text!r} is not an http or https address")
    except ValueError as error:
        raise BadUrlError(f"{text!r}: {error}") from error
    return url


def check_literal(host: str) -> None:
    """Refuse a host that is a private address written out, however it is spelled.

    Raises:
        PrivateAddressError: It is one.
    """
    address = _literal(host)
    if address is not None and not is_public(address):
        raise PrivateAddressError(host)


def is_public(address: str) -> bool:
    """Tell whether an IP address can be reached from the whole internet."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
    return all(a.is_global and not a.is_multicast for a in (parsed, mapped) if a is not None)


def _literal(host: str) -> str | None:
    """Return a spelled-out address in its usual form (``127.1`` and ``2130706433`` are some)."""
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
        """Return the addresses of a name.

        Raises:
            PrivateAddressError: One of them is private.
            OSError: The name is unknown.
        """
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(result["host"]) for result in found):
            raise PrivateAddressError(host)
        return found

    async def close(self) -> None:
        """Release what the system's resolver holds."""
        await self._resolver.close()
