"""Places of files: a path on this disk, or a URL with a path of its copy on this disk."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from k150k_pipeline.errors import InputError

_OBJECTS = "objects"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_COPY = r"/(?:objects|clips-[0-9-]+/\d+)/([a-z][a-z0-9+.-]*)/"
_ANY_COPY = re.compile(r"[^\s'\"`(]*/k150k_store_\d+" + _COPY)


def root() -> Path:
    """Return the folder of all copies and scratch of this user; ``TMPDIR`` says where it is."""
    return Path(tempfile.gettempdir()) / f"k150k_store_{os.getuid()}"


class _Copy(type(Path())):  # type: ignore[misc]
    """Path of a copy; on another machine, or for another user, it is that of the copy there."""

    def __reduce__(self) -> tuple[Callable[[str], Path], tuple[str]]:
        url = url_of(self)
        return (Path, (str(self),)) if url is None else (place, (url,))


def place(text: str) -> Path:
    """Return the path of a file; of a URL, that of the copy of the object on this disk.

    Args:
        text: A path, or a URL such as ``s3://bucket/key``.

    Raises:
        InputError: The URL names no object, or has credentials in it.
    """
    scheme, found, rest = text.partition("://")
    if not found:
        return Path(text)
    if scheme == "file":
        return Path("/", rest.lstrip("/"))
    parts = [part for part in rest.split("/") if part]
    if not (_SCHEME.fullmatch(scheme) and parts) or {".", ".."}.intersection(parts):
        raise InputError(
            f"{text} names no object of a store: write it as scheme://bucket/key, such as "
            "s3://bucket/clips, without . and .. in it"
        )
    if "@" in parts[0]:
        raise InputError(
            f"a URL of {scheme}:// has credentials in it: write them into "
            "conf/local/credentials.yml, and only bucket and key into the URL (docs/storage.md)"
        )
    return _Copy(root().joinpath(_OBJECTS, scheme, *parts))


def place_on_disk(text: str) -> Path:
    """Return the path of a file that must be on this disk.

    Raises:
        InputError: It is behind a URL.
    """
    path = place(text)
    if url_of(path) is not None:
        raise InputError(f"{text} must be a path of this machine: it cannot be in a store")
    return path


def url_of(path: Path) -> str | None:
    """Return the URL of the object whose copy a path is; None of any other path."""
    text, start = str(path), _start()
    if not text.startswith(start):
        return None
    scheme, _, rest = text[len(start) :].partition("/")
    return f"{scheme}://{rest}"


def in_words(text: str) -> str:
    """Return a text for people, in which URLs stand for the paths of copies and of scratch."""
    if "k150k_store_" not in text:
        return text
    own = re.sub(re.escape(str(root())) + _COPY, r"\1://", text)
    return _ANY_COPY.sub(r"\1://", own)


def _start() -> str:
    return _start_below(str(root()))


@cache
def _start_below(folder: str) -> str:
    return f"{folder}/{_OBJECTS}/"
