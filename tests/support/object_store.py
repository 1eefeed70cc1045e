"""An S3-compatible store on loopback, in a process of its own, and what a project needs for it.

As a program it serves until its stdin is closed, and prints its port first.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Bucket:
    """A bucket of a store.

    Attributes:
        files: File system of its store.
        name: Its name.
        scratch: Folder in which programs that use it have their copies.
    """

    files: Any
    name: str
    scratch: Path

    def url(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def put(self, key: str, data: bytes) -> None:
        self.files.pipe_file(f"{self.name}/{key}", data)

    def put_clips(self, folder: Path, key: str = "clips") -> None:
        for path in sorted(folder.iterdir()):
            self.put(f"{key}/{path.name}", path.read_bytes())

    def put_many(self, below: str, number: int) -> None:
        """Put empty objects, several at a time."""
        self.files.pipe({f"{self.name}/{below}/{index:06d}.mp4": b"" for index in range(number)})

    def get(self, key: str) -> bytes:
        data: bytes = self.files.cat_file(f"{self.name}/{key}")
        return data

    def listing(self, below: str = "") -> list[str]:
        found = self.files.find(f"{self.name}/{below}".rstrip("/"))
        return [key.removeprefix(f"{self.name}/") for key in found]

    def params(self, **others: object) -> str:
        """Return the values of --params with which extract has everything in the bucket."""
        places = {
            "clips_dir": self.url("clips"),
            "scores": self.url("scores.csv"),
            "out": self.url("out/full.parquet"),
            "journal": self.url("journal"),
            "report": self.url("reports/report.json"),
            "failures": self.url("reports/failures.csv"),
        }
        return ",".join(f"{name}={value}" for name, value in {**places, **others}.items())

    def copies(self) -> list[Path]:
        """Return the files that programs have left of it on this disk."""
        return [path for path in self.scratch.rglob("*") if path.is_file()]


def credentials(endpoint: str) -> dict[str, Any]:
    return {"key": KEY, "secret": SECRET, "endpoint_url": endpoint}


def write_credentials(root: Path, endpoint: str, **others: Any) -> None:
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
