"""A real browser, driven over its DevTools protocol, for what only a browser can tell."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
_START_S = 120
_CUT_OFF = """
(() => {
  const found = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} wide`);
  for (const box of document.querySelectorAll("[data-figure]")) {
    const edge = box.getBoundingClientRect(), name = box.dataset.figure;
    const texts = [...box.querySelectorAll("svg text")].filter((text) => text.textContent.trim())
      .map((text) => [text.textContent, text.getBoundingClientRect()])
      .filter(([, place]) => place.width);
    for (const [text, place] of texts) {
      if (place.left < edge.left - 1 || place.right > edge.right + 1
          || place.top < edge.top - 1 || place.bottom > edge.bottom + 1) {
        found.push(`${name}: "${text}" is cut off`);
      }
    }
    texts.forEach(([text, a], number) => texts.slice(number + 1).forEach(([other, b]) => {
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 1 && down > 2) found.push(`${name}: "${text}" is over "${other}"`);
    }));
    const drawn = box.querySelector(".main-svg").getBoundingClientRect();
    if (drawn.right > edge.right + 1) found.push(`${name} is wider than its box`);
  }
  return found;
})()
"""


@dataclass
class Seen:
    """What a browser saw of a page: errors, requests, and texts that cannot be read."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    cut_off: list[str] = field(default_factory=list)

    def note(self, event: dict[str, Any]) -> None:
        """Note an event of the DevTools protocol."""
        what, details = event.get("method"), event.get("params", {})
        if what == "Network.requestWillBeSent":
            self.requests.append(details["request"]["url"])
        elif what == "Runtime.exceptionThrown":
            self.errors.append(str(details["exceptionDetails"]))
        elif what == "Runtime.consoleAPICalled" and details["type"] == "error":
            self.errors.append(str(details["args"]))
        elif what == "Log.entryAdded" and details["entry"]["level"] == "error":
            self.errors.append(details["entry"]["text"])


@contextmanager
def open_browser(profile: Path) -> Iterator[str]:
    """Start a browser and yield the address of its DevTools."""
    command = [str(BROWSER), *_QUIET, f"--user-data-dir={profile}", "--remote-debugging-port=0"]
    with subprocess.Popen(
        [*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield f"http://127.0.0.1:{_port(profile / 'DevToolsActivePort')}"
        finally:
            process.terminate()


def _port(path: Path) -> str:
    end = time.monotonic() + _START_S
    while not (path.exists() and (lines := path.read_text().splitlines())):
        assert time.monotonic() < end, "the browser does not start"
        time.sleep(0.05)
    return lines[0]


def look(tools: str, page: Path, *, width: int, scheme: str, on_paper: bool = False) -> Seen:
    """Open a page and return what is seen of it.

    Args:
        tools: Address of the DevTools.
        page: The page.
        width: Of the window, in pixels.
        scheme: ``light`` or ``dark``.
        on_paper: Whether it is looked at as it is printed.
    """
    return asyncio.run(_look(tools, page.as_uri(), width, scheme, on_paper))


async def _look(tools: str, address: str, width: int, scheme: str, on_paper: bool) -> Seen:
    with urllib.request.urlopen(f"{tools}/json") as answer:
        (tab,) = [each for each in json.load(answer) if each["type"] == "page"]
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket,
    ):
        return await _Tab(socket).look(address, width, scheme, on_paper)


class _Tab:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.seen = Seen()

    async def look(self, address: str, width: int, scheme: str, on_paper: bool) -> Seen:
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self._call(f"{domain}.enable")
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self._resize(width)
        await self._call("Emulation.setEmulatedMedia", features=features)
        await self._call("Page.navigate", url=address)
        await self._until("Page.loadEventFired")
        if on_paper:
            await self._run("dispatchEvent(new Event('beforeprint'))")
            await self._call("Emulation.setEmulatedMedia", media="print", features=features)
            await self._resize(700)
        self.seen.cut_off = await self._run(_CUT_OFF)
        return self.seen

    async def _resize(self, width: int) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await self._call("Emulation.setDeviceMetricsOverride", **size)

    async def _run(self, script: str) -> Any:
        answer = await self._call("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        answer = await self._event(lambda event: event.get("id") == number)
        assert "result" in answer, (method, answer)
        return dict(answer["result"])

    async def _until(self, method: str) -> None:
        await self._event(lambda event: event.get("method") == method)

    async def _event(self, wanted: Any) -> dict[str, Any]:
        while True:
            event: dict[str, Any] = await self._socket.receive_json()
            self.seen.note(event)
            if wanted(event):
                return event


def schemes_and_widths() -> Sequence[tuple[int, str]]:
    """Return the windows that a page is looked at in."""
    return tuple(itertools.product((1280, 1920), ("light", "dark")))
