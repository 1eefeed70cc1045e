"""A real HTTP/1.1 server on loopback that answers each path as a test has scripted it.

It has keep-alive and one thread per connection. A path has one :class:`Reply` per request, and
the last one is repeated; a path without a script is a file of the server's folder, or 404.

As a program it serves a folder until its stdin is closed, and prints its port first::

    python tests/support/http_server.py FOLDER
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Literal
from urllib.parse import unquote

_READING_GUARD_S = 10.0
"""Seconds after which a client is taken to read no more."""

_TAKING_IN_S = 0.1
"""Seconds in which a client on a busy machine takes in what it has read."""


@dataclass(frozen=True)
class Reply:
    """What one request gets.

    Attributes:
        body: What lies at the path; it is sent whole, or the part that Range asks for.
        status: Status of an answer that is not 206 or 416.
        headers: Headers beside Date, Content-Type, Content-Length and Content-Range.
        ranges: Whether Range and If-Range are honoured.
        framing: How the end of the body is told: ``length``, ``chunked``, or ``close`` for
            the end of the connection.
        announced: Content-Length, where it is not the true one.
        cut: Bytes of the answer's body after which ``ending`` comes; default: all.
        ending: ``keep`` the connection, ``close`` it, ``reset`` it (RST), or ``stall`` until
            the client goes away; the last three leave a chunked body without its end.
        piece: Bytes per write; default: all at once.
        pause_s: Wait after each piece.
        head_pause_s: Wait after each byte of the status line and headers.
        endless: The body is repeated until the client goes away.
        raw: Bytes that are sent in place of headers and body.
    """

    body: bytes | Path = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    ranges: bool = True
    framing: Literal["length", "chunked", "close"] = "length"
    announced: int | None = None
    cut: int | None = None
    ending: Literal["keep", "close", "reset", "stall"] = "keep"
    piece: int | None = None
    pause_s: float = 0.0
    head_pause_s: float = 0.0
    endless: bool = False
    raw: bytes | None = None


@dataclass
class Request:
    """What a client asked, and how much of a body it was sent.

    Attributes:
        path: Path and query, as they stood in the request line.
        headers: Names in any case.
        at: Seconds since the epoch.
        served: Bytes of the body that were handed to the socket.
    """

    path: str
    headers: Message
    at: float
    served: int = 0


Script = Reply | Callable[[Request], Reply]


def redirect(location: str, status: int = 302) -> Reply:
    return Reply(status=status, headers={"Location": location})


class ScriptedServer(ThreadingMixIn, TCPServer):
    """The server: a context manager that listens on a free port of 127.0.0.1.

    Attributes:
        requests: Every request in the order of arrival.
        connections: Number of connections that were opened.
        most_connections: Highest number of connections that were open at a time.
        like: How files of the folder are sent; body and headers are set per file.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, folder: Path | None = None, like: Reply | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.most_connections = 0
        self.like = like or Reply()
        self.stopping = threading.Event()
        self._folder = folder
        self._scripts: dict[str, tuple[Script, ...]] = {}
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((host, 0), _Connection)

    def __enter__(self) -> ScriptedServer:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def url(self, path: str = "/clip.mp4") -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}{path}"

    def at(self, path: str, *script: Script) -> str:
        """Set what the first, second, … and all further requests of a path get; return its URL."""
        self._scripts[path] = script
        return self.url(path)

    def asked(self, path: str = "/clip.mp4") -> list[Request]:
        return [request for request in self.requests if request.path == path]

    def reply_to(self, request: Request) -> Reply:
        """Record a request and return what it gets."""
        with self._lock:
            earlier = len(self.asked(request.path))
            self.requests.append(request)
        if script := self._scripts.get(request.path):
            entry = script[min(earlier, len(script) - 1)]
            return entry if isinstance(entry, Reply) else entry(request)
        return self._file(request.path)

    def _file(self, path: str) -> Reply:
        file = None if self._folder is None else self._folder / unquote(path).lstrip("/")
        if file is None or not file.is_file():
            return Reply(status=404)
        status = file.stat()
        headers = {
            "ETag": f'"{status.st_size:x}-{status.st_mtime_ns:x}"',
            "Last-Modified": formatdate(status.st_mtime, usegmt=True),
        }
        return replace(self.like, body=file, headers=headers)

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
            self.connections += 1
            self.most_connections = max(self.most_connections, len(self._open))

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # OSError: the client went away
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    """One connection and the requests that follow each other on it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ScriptedServer

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        request = Request(self.path, self.headers, time.time())
        reply = self.server.reply_to(request)
        try:
            self._send(reply, request)
            getattr(self, f"_{reply.ending}")()
        except OSError:
            self.close_connection = True

    def _send(self, reply: Reply, request: Request) -> None:
        if reply.raw is not None:
            self.connection.sendall(reply.raw)
            return
        size = len(reply.body) if isinstance(reply.body, bytes) else reply.body.stat().st_size
        status, start, stop = self._selected(reply, size)
        self._send_head(reply, status, start, stop, size)
        if reply.cut is not None:
            stop = min(stop, start + reply.cut)
        self._send_body(reply, request, start, stop)
        if reply.framing == "chunked" and reply.ending == "keep":
            self.connection.sendall(b"0\r\n\r\n")
        if reply.framing == "close":
            self.close_connection = True

    def _selected(self, reply: Reply, size: int) -> tuple[int, int, int]:
        """Return status, first byte and the byte after the last of what is to be sent."""
        wanted = self.headers.get("Range", "")
        condition = self.headers.get("If-Range")
        # A weak validator does not promise the same bytes (RFC 9110, 13.1.5).
        strong = (reply.headers.get("ETag", "W/"), reply.headers.get("Last-Modified", "W/"))
        unchanged = condition is None or (condition in strong and not condition.startswith("W/"))
        if not (reply.ranges and wanted.startswith("bytes=") and unchanged):
            return reply.status, 0, size
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last) + 1, size) if last else size
        return (206, start, stop) if start < size else (416, 0, 0)

    def _send_head(self, reply: Reply, status: int, start: int, stop: int, size: int) -> None:
        headers = {"Date": self.date_time_string(), "Content-Type": "video/mp4"}
        if status == 206 and reply.status != 206:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        if status == 416:
            headers["Content-Range"] = f"bytes */{size}"
        if reply.framing == "length":
            announced = stop - start if reply.announced is None else reply.announced
            headers["Content-Length"] = str(announced)
        elif reply.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Connection"] = "close"
        lines = [f"{name}: {value}" for name, value in (headers | dict(reply.headers)).items()]
        phrase = HTTPStatus(status).phrase
        head = "\r\n".join([f"HTTP/1.1 {status} {phrase}", *lines, "", ""]).encode("latin-1")
        self._send_slowly(head, 1 if reply.head_pause_s else len(head), reply.head_pause_s)

    def _send_body(self, reply: Reply, request: Request, start: int, stop: int) -> None:
        if isinstance(reply.body, Path) and not (reply.pause_s or reply.framing == "chunked"):
            with reply.body.open("rb") as file:
                request.served += self.connection.sendfile(file, start, stop - start or None)
            return
        whole = reply.body if isinstance(reply.body, bytes) else reply.body.read_bytes()
        while True:
            self._send_pieces(reply, request, whole[start:stop])
            if not reply.endless:
                return

    def _send_pieces(self, reply: Reply, request: Request, data: bytes) -> None:
        step = reply.piece or len(data) or 1
        for at in range(0, len(data), step):
            piece = data[at : at + step]
            chunk = b"%x\r\n%b\r\n" % (len(piece), piece) if reply.framing == "chunked" else piece
            self.connection.sendall(chunk)
            request.served += len(piece)
            self._wait(reply.pause_s)

    def _send_slowly(self, data: bytes, step: int, pause_s: float) -> None:
        for at in range(0, len(data), step):
            self.connection.sendall(data[at : at + step])
            self._wait(pause_s)

    def _wait(self, seconds: float) -> None:
        if seconds and self.server.stopping.wait(seconds):
            raise ConnectionAbortedError("the server stops")

    def _keep(self) -> None:
        """Leave the connection to the next request."""

    def _close(self) -> None:
        self.close_connection = True

    def _reset(self) -> None:
        """Send RST once the client has read everything, for it throws away what is unread."""
        deadline = time.monotonic() + _READING_GUARD_S
        while self._unread() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(_TAKING_IN_S)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()  # it holds the socket open
        self.connection.close()
        self.close_connection = True

    def _unread(self) -> int:
        """Return how many bytes wait, here to be sent or at the client to be read."""
        answer = fcntl.ioctl(self.connection, termios.TIOCOUTQ, bytes(4))
        return int(struct.unpack("i", answer)[0]) + self._waiting_at_client()

    def _waiting_at_client(self) -> int:
        ours, theirs = (self.connection.getsockname()[1], self.client_address[1])
        ends = f":{theirs:04X}", f":{ours:04X}"
        for line in Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, queues, *_ = line.split()
            if local.endswith(ends[0]) and remote.endswith(ends[1]):
                return int(queues.partition(":")[2], 16)
        return 0

    def _stall(self) -> None:
        self.close_connection = True
        self.connection.settimeout(0.02)
        while not self.server.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(1):
                    return


def main() -> None:
    with ScriptedServer(Path(sys.argv[1])) as server:
        os.write(1, f"{server.port}\n".encode())
        sys.stdin.read()


if __name__ == "__main__":
    main()
