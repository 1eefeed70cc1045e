"""An S3-compatible store on loopback, in a process of its own, and what a project needs for it.

As a program it serves until its stdin is closed, and prints its port first.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

import yaml

KEY, SECRET = "key-of-the-tests", "secret-of-the-tests-9271"


class ObjectStore:
    """The store, as a test sees it: a context manager.

    Attributes:
        endpoint: Its address.
    """

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        self.endpoint = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def files(self, endpoint: str | None = None) -> Any:
        """Return a file system of it, for what a test does itself."""
        import s3fs

        return s3fs.S3FileSystem(
            **credentials(endpoint or self.endpoint),
            skip_instance_cache=True,
            use_listings_cache=False,
        )


def credentials(endpoint: str) -> dict[str, Any]:
    return {"key": KEY, "secret": SECRET, "endpoint_url": endpoint}


def write_credentials(root: Path, endpoint: str, **others: str) -> None:
    """Write the credentials of a store into a project."""
    entry = {**credentials(endpoint), **others}
    (root / "conf/local/credentials.yml").write_text(yaml.safe_dump({"s3": entry}))


def main() -> None:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.write(1, f"{server.server_port}\n".encode())
    sys.stdin.read()


if __name__ == "__main__":
    main()
