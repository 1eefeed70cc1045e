"""A server on loopback, a sound clip to fetch from it, and a folder to fetch it into."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k150k_pipeline.download import Downloader
from k150k_pipeline.errors import ClipError
from k150k_pipeline.schemas.ingest import DownloadParameters
from tests.conftest import encode
from tests.support.http_server import ScriptedServer
from tests.support.waiting import HANG_GUARD_S

QUICK: dict[str, Any] = {
    "allow_private": True,
    "attempts": 3,
    "backoff_s": 0.01,
    "max_backoff_s": 0.02,
    "connect_timeout_s": HANG_GUARD_S,
    "stall_timeout_s": HANG_GUARD_S,
    "clip_timeout_s": HANG_GUARD_S,
}

STALL_S = 1.0
"""Seconds in which a busy machine still sends the next bytes, unless the server stalls."""


class Inbox:
    """A folder that clips are fetched into; it looks after what is left in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = folder / "clip.mp4"
        self.part = folder / "clip.mp4.part"
        self.note = folder / "clip.mp4.part.json"

    def fetch(self, url: str, checksum: str | None = None, **limits: Any) -> None:
        async def run() -> None:
            async with Downloader(DownloadParameters(**QUICK | limits)) as downloader:
                await downloader.fetch(url, self.target, checksum)

        asyncio.run(run())

    def receive(self, url: str, checksum: str | None = None, **limits: Any) -> bytes:
        """Fetch a clip; nothing but the clip is left."""
        self.fetch(url, checksum, **limits)
        assert self.names() == {self.target.name}
        return self.target.read_bytes()

    def refusal(self, url: str, checksum: str | None = None, **limits: Any) -> str:
        """Return the reason why a clip was not fetched; nothing at all is left."""
        with pytest.raises(ClipError) as caught:
            self.fetch(url, checksum, **limits)
        assert self.names() == set()
        assert caught.value.stage == "download"
        assert caught.value.detail
        return caught.value.reason

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    folder = tmp_path / "clips"
    folder.mkdir()
    return Inbox(folder)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a sound MP4 of several hundred kilobytes, its index at the end."""
    source = "testsrc2=s=320x240:r=30:d=1,noise=alls=40:allf=t"
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return encode(path, source, "-pix_fmt", "yuv420p").read_bytes()


@pytest.fixture(scope="session")
def other_clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    source = "testsrc=s=320x240:r=30:d=1,noise=alls=40:allf=t"
    path = tmp_path_factory.mktemp("clip") / "other.mp4"
    return encode(path, source, "-pix_fmt", "yuv420p").read_bytes()
