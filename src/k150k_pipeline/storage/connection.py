"""Requests to object stores: made again when they fail for a time, else one sentence."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import random
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from k150k_pipeline.errors import InputError
from k150k_pipeline.storage.places import in_words
from k150k_pipeline.storage.settings import credentials_of, current

T = TypeVar("T")

_LOCAL_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENAMETOOLONG}
_LONGEST_PAUSE_S = 10.0
_LEAST_S = 60.0
_SLOWEST = 50_000
"""Bytes per second; a request that takes more than a minute at this rate is made again."""
_MD5 = re.compile(r"[0-9a-f]{32}")
_TIMES = ("LastModified", "updated", "last_modified", "mtime", "created")
_REFUSED = (
    "{url} is refused by its store ({why}): check the credentials in {where}, and what they may do "
    "there"
)
_WHERE = "conf/local/credentials.yml (docs/storage.md)"


class StoreError(InputError):
    """A store cannot be used; the message names the URL, the reason and what to do."""


class UnreachableError(StoreError):
    """A store does not answer, or answers with errors of its own, for too long."""


@dataclass(frozen=True)
class Object:
    """An object in a store at one moment.

    Attributes:
        url: Its URL.
        size: Bytes of it.
        etag: Its entity tag, without quotes; empty where the store gives none.
        changed: When it was last written, in whole seconds since the epoch.
    """

    url: str
    size: int
    etag: str
    changed: int

    @property
    def name(self) -> str:
        """Last part of its URL."""
        return self.url.rpartition("/")[2]

    @property
    def mtime_ns(self) -> int:
        """Nanoseconds that stand for this version: the second, and digits made of the tag.

        Stores tell time in seconds, so that two versions may be of one second.
        """
        return self.changed * 10**9 + zlib.crc32(self.etag.encode()) % 10**9

    @property
    def md5(self) -> str:
        """MD5 that the tag probably is; empty if it cannot be one."""
        return self.etag if _MD5.fullmatch(self.etag) else ""


def info(url: str) -> Object | None:
    """Return an object; None if there is none."""
    try:
        found = _insist(url, lambda fs, key: fs.info(key))
    except FileNotFoundError:
        return None
    return None if found["type"] == "directory" else _object(url, found)


def listing(url: str, start: str = "") -> list[Object]:
    """Return the objects right below a URL, sorted by name.

    Args:
        url: The URL, without a slash at its end.
        start: What their names begin with.

    Raises:
        StoreError: The bucket does not exist, or may not be listed.
    """
    try:
        found = _insist(url, lambda fs, key: _list(fs, key, start))
    except FileNotFoundError:
        if _bucket_is_missing(url):
            raise StoreError(f"{url}: there is no such bucket. Make it, or name another") from None
        return []
    objects = [_object(f"{url}/{name}", entry) for name, entry in _files(found)]
    return sorted(objects, key=lambda each: each.url)


def fetch(source: Object, target: Path) -> None:
    """Write an object to a file.

    Raises:
        FileNotFoundError: There is no such object any more.
        OSError: The disk is full.
    """
    longest = _LEAST_S + source.size / _SLOWEST

    def get(fs: Any, key: str) -> None:
        _bounded(fs, "get_file", longest, key, str(target))
        if target.stat().st_size != source.size:
            raise TimeoutError(f"{target.stat().st_size} of {source.size} bytes came")

    _insist(source.url, get)


def put(source: Path, url: str, *, create: bool = False) -> Object:
    """Write a file to an object, in one step.

    Args:
        source: The file.
        url: URL of the object.
        create: Whether there must be no such object yet.

    Returns:
        The object.

    Raises:
        FileExistsError: There is one, of another size.
        StoreError: It cannot be written.
    """
    mode = {"mode": "create"} if create else {}
    longest = _LEAST_S + source.stat().st_size / _SLOWEST
    try:
        _insist(url, lambda fs, key: _bounded(fs, "put_file", longest, str(source), key, **mode))
    except FileExistsError:
        # A put whose answer was lost has been made all the same.
        if (there := info(url)) is None or there.size != source.stat().st_size:
            raise
    except FileNotFoundError:
        raise StoreError(f"{url}: there is no such bucket. Make it, or name another") from None
    if (written := info(url)) is None or written.size != source.stat().st_size:
        raise UnreachableError(f"{url} was written and is not there: run the same command again")
    return written


def create(url: str, data: bytes, patience_s: float | None = None) -> bool:
    """Write a new object; return False if there is one already, also of an earlier try.

    Args:
        url: URL of the object.
        data: Its bytes.
        patience_s: Seconds for which it is tried; None for those of the settings.

    Raises:
        NotImplementedError: The store has no such request.
    """
    try:
        _insist(url, lambda fs, key: fs.pipe_file(key, data, mode="create"), patience_s)
    except FileExistsError:
        return False
    except FileNotFoundError:
        raise StoreError(f"{url}: there is no such bucket. Make it, or name another") from None
    return True


def read(url: str) -> bytes | None:
    """Return the bytes of a small object; None if there is none."""
    try:
        data: bytes = _insist(url, lambda fs, key: fs.cat_file(key))
    except FileNotFoundError:
        return None
    return data


def remove(url: str) -> None:
    """Remove an object, if it is there."""
    try:
        _insist(url, lambda fs, key: fs.rm_file(key))
    except FileNotFoundError:
        return


def _list(fs: Any, key: str, start: str) -> list[Mapping[str, Any]]:
    fs.invalidate_cache()
    if start and hasattr(fs, "_lsdir"):  # of S3: the store picks them, page by page
        found: Mapping[str, Any] = fs.find(key, prefix=start, maxdepth=1, detail=True)
        return list(found.values())
    entries: list[Mapping[str, Any]] = fs.ls(key, detail=True)
    return [e for e in entries if e["name"].rpartition("/")[2].startswith(start)]


def _files(entries: list[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for entry in entries:
        name = entry["name"].rpartition("/")[2]
        if name and entry["type"] != "directory":  # a key that ends in a slash is no file
            yield name, entry


def _object(url: str, entry: Mapping[str, Any]) -> Object:
    tag = entry.get("ETag") or entry.get("etag") or entry.get("md5Hash") or ""
    changed = next((entry[key] for key in _TIMES if entry.get(key)), 0)
    if hasattr(changed, "timestamp"):
        changed = changed.timestamp()
    whole = int(changed) if isinstance(changed, int | float) else 0
    return Object(url, int(entry["size"]), str(tag).strip('"'), whole)


def _bucket_is_missing(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    bucket = rest.partition("/")[0]
    if scheme == "memory":
        return False
    try:
        _insist(f"{scheme}://{bucket}", lambda fs, key: fs.ls(key, detail=True))
    except FileNotFoundError:
        return True
    return False


def _bounded(fs: Any, method: str, longest: float, *args: str, **options: str) -> None:
    """Call a method for so many seconds at most, where the file system can be stopped."""
    if not getattr(fs, "async_impl", False):
        getattr(fs, method)(*args, **options)
        return
    running = asyncio.run_coroutine_threadsafe(getattr(fs, f"_{method}")(*args, **options), fs.loop)
    try:
        running.result(longest)
    finally:
        running.cancel()


def _insist(url: str, request: Callable[[Any, str], T], patience_s: float | None = None) -> T:
    """Make a request until it succeeds, fails for good, or patience is at its end."""
    scheme, _, key = url.partition("://")
    fs = _file_system(scheme, key.partition("/")[0])
    patience_s = current().patience_s if patience_s is None else patience_s
    end, pause = time.monotonic() + patience_s, 0.1
    while True:
        try:
            return request(fs, key)
        except (FileNotFoundError, FileExistsError, NotImplementedError):
            raise
        except Exception as error:  # each store has errors of its own
            _raise_what_lasts(url, error)
            if time.monotonic() + pause > end:
                raise UnreachableError(_unreachable(url, error, patience_s)) from None
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def _raise_what_lasts(url: str, error: Exception) -> None:
    """Raise an error that another try would meet again."""
    if isinstance(error, PermissionError) or type(error).__name__.startswith("NoCredentials"):
        why = _plain(url, error)
        raise StoreError(_REFUSED.format(url=url, why=why, where=_WHERE)) from None
    if isinstance(error, OSError) and error.errno in _LOCAL_ERRORS:
        raise error
    name = type(error).__name__
    lasting = isinstance(error, TypeError | ValueError | AttributeError) or "Validation" in name
    if lasting or (isinstance(error, OSError) and error.errno == errno.EINVAL):
        raise StoreError(f"{url} cannot be used: {_plain(url, error)}") from None


def _unreachable(url: str, error: Exception, patience_s: float) -> str:
    return (
        f"{url}: its store has not answered as it should for {patience_s:g} seconds "
        f"({_plain(url, error)}). Look whether it runs and whether endpoint_url in {_WHERE} is "
        "right, then run the same command again"
    )


def _plain(url: str, error: Exception) -> str:
    """Return the message of an error on one line, without anything that is secret."""
    scheme, _, key = url.partition("://")
    text = " ".join(str(error).split()) or type(error).__name__
    for secret in _secrets(credentials_of(scheme, key.partition("/")[0])):
        text = text.replace(secret, "***")
    return in_words(text)


def _secrets(credentials: Mapping[str, Any]) -> Iterator[str]:
    for name, value in credentials.items():
        if isinstance(value, Mapping):
            yield from _secrets(value)
        elif isinstance(value, str) and value and not name.endswith(("url", "region_name")):
            yield value


_file_systems: dict[tuple[int, str, str], Any] = {}


def _file_system(scheme: str, bucket: str) -> Any:
    """Return the file system of a bucket, which belongs to this process."""
    key = (os.getpid(), scheme, bucket)
    if key not in _file_systems:
        _file_systems[key] = _make_file_system(scheme, credentials_of(scheme, bucket))
        _shorten_log()
    return _file_systems[key]


def _make_file_system(scheme: str, credentials: Mapping[str, Any]) -> Any:
    try:
        import fsspec
    except ImportError:
        raise _missing(scheme, "fsspec") from None
    options = dict(credentials)
    if scheme in ("s3", "s3a"):
        limits = {"connect_timeout": 10, "read_timeout": 20, "retries": {"max_attempts": 1}}
        options["config_kwargs"] = {**limits, **options.get("config_kwargs", {})}
    try:
        options |= {"skip_instance_cache": True, "use_listings_cache": False}
        fs = fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise _missing(scheme, str(error)) from None
    except (ValueError, TypeError) as error:
        raise StoreError(f"{scheme}:// cannot be used: {error}") from None
    if hasattr(fs, "retries"):
        fs.retries = 1  # it is tried again here, for as long as the parameters say
    return fs


def _missing(scheme: str, why: str) -> StoreError:
    return StoreError(
        f"{scheme}:// needs a package that is not installed ({why}): pip install "
        f"'k150k-pipeline[store]'{'' if scheme == 's3' else ' and the package it names'}"
    )


def _shorten_log() -> None:
    """Write URLs into the log in place of the paths of copies."""
    make = logging.getLogRecordFactory()
    if getattr(make, "writes_urls", False):
        return

    def made(*args: Any, **options: Any) -> logging.LogRecord:
        record = make(*args, **options)
        text = record.getMessage()
        if (plain := in_words(text)) != text:
            record.msg, record.args = plain, ()
        return record

    made.writes_urls = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(made)
