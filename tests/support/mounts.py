"""A Kedro server whose runs see file systems that nobody else sees: small ones, read-only ones."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import pytest

from tests.support.kedro_server import KedroServer
from tests.support.waiting import wait_until

_PRIVATE = ("unshare", "--map-root-user", "--mount")


class PrivateMounts:
    """A server in a mount namespace of its own, which ends with it.

    Attributes:
        server: The server.
    """

    def __init__(self) -> None:
        self.server = KedroServer(launcher=_PRIVATE)
        self._enter = (
            *("nsenter", f"--target={self.server.pid}", "--user", "--mount"),
            "--preserve-credentials",
        )
        wait_until(lambda: _name(self.server.pid) != _PRIVATE[0])

    def view(self, path: Path) -> Path:
        """Return the path by which this process sees a path of the server."""
        return Path(f"/proc/{self.server.pid}/root{path}")

    def add_tmpfs(self, folder: Path, size: int) -> None:
        """Mount an empty file system of so many bytes on a folder."""
        self._do("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)

    def resize(self, folder: Path, size: int) -> None:
        """Change the size of such a file system."""
        self._do("mount", "-o", f"remount,size={size}", folder)

    def make_read_only(self, folder: Path) -> None:
        """Make a folder read-only for the server."""
        self._do("mount", "--bind", folder, folder)
        self._do("mount", "-o", "remount,bind,ro", folder)

    def remove(self, folder: Path) -> None:
        """Unmount what is mounted on a folder."""
        # A helper of a run that has ended may have a file open for a moment more.
        self._do("umount", "--lazy", folder)

    def _do(self, *command: str | Path) -> None:
        subprocess.run([*self._enter, *command], check=True)


def _name(process: int) -> str:
    return Path(f"/proc/{process}/comm").read_text().strip()


@functools.cache
def private_mounts() -> PrivateMounts:
    """Return the server of this test process; skip the test where nothing can be mounted."""
    try:
        trial = [*_PRIVATE, "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
        subprocess.run(trial, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        pytest.skip(f"mounting is not permitted here: {reason}")
    return PrivateMounts()
