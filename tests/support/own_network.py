"""What the guard of private addresses does between a public and a private server.

Run by ``unshare --user --map-root-user --net``: in a network of its own a machine may have any
address. It serves a clip at a public address and at 127.0.0.1, fetches by way of redirects with
``allow_private=False``, and prints as JSON, per fetch, the failure's reason or null, and the
number of requests that reached the private server.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from k150k_pipeline.download import Downloader
from k150k_pipeline.errors import ClipError
from k150k_pipeline.schemas.ingest import DownloadParameters
from tests.support.http_server import Reply, ScriptedServer, redirect

PUBLIC_ADDRESS = "8.8.8.8"


def main(clip: Path, folder: Path) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{PUBLIC_ADDRESS}/32", "dev", "lo"], check=True)
    served = Reply(clip.read_bytes())
    with ScriptedServer(host=PUBLIC_ADDRESS) as public, ScriptedServer() as private:
        private.at("/clip.mp4", served)
        named = private.url().replace("127.0.0.1", "localhost")
        urls = {
            "public": public.at("/clip.mp4", served),
            "public by redirect": public.at("/elsewhere", redirect("/clip.mp4")),
            "private by redirect": public.at("/literal", redirect(private.url())),
            "private by name": public.at("/named", redirect(named)),
            "private by detour": public.at("/detour", redirect("/named")),
        }
        outcomes = asyncio.run(fetch_all(urls, folder))
        outcomes["requests of the private server"] = len(private.requests)
    print(json.dumps(outcomes))


async def fetch_all(urls: dict[str, str], folder: Path) -> dict[str, str | int | None]:
    outcomes: dict[str, str | int | None] = {}
    async with Downloader(DownloadParameters()) as downloader:
        for title, url in urls.items():
            try:
                await downloader.fetch(url, folder / f"{title}.mp4")
                outcomes[title] = None
            except ClipError as error:
                outcomes[title] = error.reason
    return outcomes


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
