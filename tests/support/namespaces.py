"""Hosts on one machine: network namespaces with addresses of their own, joined by a bridge.

Clips, journals and outputs are on the disk that all of them see, as on a shared file system.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

_NUMBERS = itertools.count()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


class Host:
    """A network namespace.

    Args:
        network: What it is in.
        name: Name of the namespace.
        number: Last part of its address.

    Attributes:
        address: Its address.
    """

    def __init__(self, network: Network, name: str, number: int) -> None:
        self._network, self._name = network, name
        self.address = f"10.99.{network.number}.{number}"
        self._port = f"p{number}"
        _ip("netns", "add", name)
        _ip("link", "add", "eth0", "netns", name, "type", "veth", "peer", self._port,
            "netns", network.hub)  # fmt: skip
        _ip("-n", network.hub, "link", "set", self._port, "master", "bridge", "up")
        _ip("-n", name, "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", name, "link", "set", device, "up")

    def command(self, *arguments: str) -> list[str]:
        """Return a command that runs another one on this host."""
        return ["ip", "netns", "exec", self._name, *arguments]

    def start(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command on this host."""
        with log.open("ab") as file:
            return subprocess.Popen(
                self.command(*command),
                env={**os.environ, **(environment or {})},
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def cut(self) -> None:
        """Take the host off the network; its connections are not told."""
        _ip("-n", self._network.hub, "link", "set", self._port, "down")

    def mend(self) -> None:
        """Connect the host again."""
        _ip("-n", self._network.hub, "link", "set", self._port, "up")


class Network:
    """A bridge, and the hosts that are joined to it; as a context manager it is removed at the end.

    Attributes:
        number: Third part of all addresses.
        hub: Namespace of the bridge.
    """

    def __init__(self) -> None:
        self.number = next(_NUMBERS)
        self._prefix = f"k150k-{os.getpid()}-{self.number}"
        self.hub = f"{self._prefix}-hub"
        self._names = [self.hub]

    def __enter__(self) -> Network:
        try:
            _ip("netns", "add", self.hub)
            _ip("-n", self.hub, "link", "add", "bridge", "type", "bridge")
            _ip("-n", self.hub, "link", "set", "bridge", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            self._remove()
            pytest.skip(f"this machine makes no network namespaces: {error}")
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def host(self, name: str) -> Host:
        """Return a new host."""
        self._names.append(f"{self._prefix}-{name}")
        return Host(self, self._names[-1], len(self._names))

    def _remove(self) -> None:
        for name in self._names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
