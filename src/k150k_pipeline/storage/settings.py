"""How stores are used, for this process and those that it starts.

None of it changes what a run writes, so it is no input of a node. It is in the environment, which
processes inherit; what is secret is not in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any

from k150k_pipeline.errors import InputError

_VARIABLE = "K150K_STORE"


@dataclass(frozen=True)
class Settings:
    """How stores are used; docs/parameters.md explains the block ``store``.

    Attributes:
        prefetch_clips: Most clips that a worker has fetched or fetches ahead.
        prefetch_mb: Most MiB of these; a larger clip is fetched alone.
        segment_clips: Most finished clips that are in no object yet, per worker.
        segment_s: Most seconds that a finished clip is in no object.
        lease_s: Seconds without a renewal after which a lock may be taken over.
        patience_s: Seconds for which a request that fails is made again.
        conf_source: Folder of the configuration that has the credentials; empty for the default.
        env: Its environment; empty for the default.
    """

    prefetch_clips: int = 4
    prefetch_mb: int = 512
    segment_clips: int = 50
    segment_s: float = 20.0
    lease_s: float = 60.0
    patience_s: float = 120.0
    conf_source: str = ""
    env: str = ""


def use(settings: Settings) -> None:
    """Set how stores are used by this process, and by those that it starts from now on."""
    os.environ[_VARIABLE] = json.dumps(asdict(settings))


def current() -> Settings:
    """Return how stores are used."""
    return _parse(os.environ.get(_VARIABLE, "{}"))


@cache
def _parse(text: str) -> Settings:
    known = {field.name for field in fields(Settings)}
    return Settings(**{key: value for key, value in json.loads(text).items() if key in known})


ReadCredentials = Callable[[], Mapping[str, Any]]

_readers: list[ReadCredentials] = []


def credentials_from(read: ReadCredentials) -> None:
    """Set what reads the credentials, by scheme or bucket; it is called when one is needed."""
    _readers[:] = [read]


def credentials_of(scheme: str, bucket: str) -> Mapping[str, Any]:
    """Return the credentials of a bucket: those of its name, or of its scheme, or none.

    Raises:
        InputError: They are no names with values.
    """
    known = _readers[0]() if _readers else {}
    found = known.get(f"{scheme}://{bucket}") or known.get(scheme) or {}
    if not isinstance(found, Mapping):
        raise InputError(
            f"the entry {scheme} of conf/local/credentials.yml has no names with values: write it "
            "as in docs/storage.md"
        )
    return found
