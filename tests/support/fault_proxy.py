"""An HTTP proxy before an object store that counts requests and spoils some of them."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import urlsplit

Fault = Literal["403", "500", "503", "stall", "slow", "cut", "flip", "reset", "lost"]
"""What happens to a request.

``403``, ``500`` and ``503`` are answers of those kinds; ``stall`` sends nothing until the client
goes away; ``slow`` sends the body in pieces; ``cut`` ends the connection in the middle of the
body; ``flip`` changes one byte of it; ``reset`` ends the connection before the request is done,
``lost`` after.
"""

_CODES = {"403": b"SignatureDoesNotMatch", "500": b"InternalError", "503": b"SlowDown"}
_BUSY = b"<Error><Code>%b</Code><Message>injected</Message></Error>"


@dataclass(frozen=True)
class Asked:
    """A request: its method, its path, and how often this method and path were asked before."""

    method: str
    path: str
    before: int


Choose = Callable[[Asked], Fault | None]


class FaultProxy:
    """The proxy: a context manager.

    Args:
        upstream: Address of the store.
        choose: Returns what happens to a request; None to pass it on.

    Attributes:
        requests: Every request in the order of arrival.
        faults: Number of faults by kind.
        choose: As given; a test may set another one.
        dropped: Headers that are not passed on, in small letters.
    """

    def __init__(self, upstream: str, choose: Choose = lambda _: None) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.choose = choose
        self.requests: list[Asked] = []
        self.faults: Counter[str] = Counter()
        self.dropped = {"expect"}
        self.stopping = threading.Event()
        self._seen: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.proxy = self  # type: ignore[attr-defined]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def counts(self) -> Counter[str]:
        """Return the number of requests by method."""
        return Counter(asked.method for asked in self.requests)

    def note(self, method: str, path: str) -> Fault | None:
        with self._lock:
            asked = Asked(method, path, self._seen[method, path])
            self._seen[method, path] += 1
            self.requests.append(asked)
            fault = self.choose(asked)
            if fault == "flip" and not is_object(asked):
                fault = "cut"
            self.faults.update([fault] if fault else [])
            return fault


def is_object(asked: Asked) -> bool:
    """Return whether an answer is an object's bytes; listings have no checksum but that of TLS."""
    return asked.method == "GET" and "?" not in asked.path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def _handle(self) -> None:
        proxy: FaultProxy = self.server.proxy  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = proxy.note(self.command, self.path)
        with contextlib.suppress(OSError):
            if fault in _CODES:
                self._refuse(fault)
            elif fault == "stall":
                self._stall(proxy)
            elif fault == "reset":
                self.close_connection = True
            else:
                self._pass_on(proxy, body, fault)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def _refuse(self, fault: Fault) -> None:
        body = _BUSY % _CODES[fault]
        self.send_response(int(fault))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def _stall(self, proxy: FaultProxy) -> None:
        self.close_connection = True
        self.connection.settimeout(0.05)
        while not proxy.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(1):
                    return

    def _pass_on(self, proxy: FaultProxy, body: bytes, fault: Fault | None) -> None:
        upstream = http.client.HTTPConnection(proxy.upstream)
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in proxy.dropped
        }
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        data = answer.read()
        if fault == "lost":
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "server", "date"):
                self.send_header(name, value)
        if answer.getheader("Content-Length") is None:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self._send(data, fault, proxy)
        upstream.close()

    def _send(self, data: bytes, fault: Fault | None, proxy: FaultProxy) -> None:
        if fault == "cut":
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        elif fault == "flip" and data:
            middle = len(data) // 2
            self.wfile.write(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
        elif fault == "slow":
            step = len(data) // 8 + 1
            for at in range(0, len(data), step):
                self.wfile.write(data[at : at + step])
                proxy.stopping.wait(0.02)
        else:
            self.wfile.write(data)
