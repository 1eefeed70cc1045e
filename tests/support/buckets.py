"""A store of one test session, a bucket and copies of their own for each test."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from k150k_pipeline.storage import connection, settings
from tests.support.object_store import Bucket, ObjectStore, credentials


@pytest.fixture(scope="session")
def store() -> Iterator[ObjectStore]:
    with ObjectStore() as running:
        yield running


@pytest.fixture
def bucket(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """Yield a new bucket; this process and those of the test have their copies in one folder."""
    with tempfile.TemporaryDirectory(prefix="k ") as scratch:  # short: sockets are made in it
        monkeypatch.setenv("TMPDIR", scratch)
        monkeypatch.setattr(tempfile, "tempdir", None)
        made = Bucket(store.files(), f"b-{uuid.uuid4().hex[:8]}", Path(scratch))
        made.files.mkdir(made.name)
        use_here(monkeypatch, store.endpoint)
        yield made


def use_here(monkeypatch: pytest.MonkeyPatch, endpoint: str, **chosen: float) -> None:
    """Let this process use a store with few seconds of patience."""
    settings.use(settings.Settings(**{"patience_s": 2.0, **chosen}))
    monkeypatch.setenv("K150K_STORE", os.environ["K150K_STORE"])
    monkeypatch.setattr(settings, "_readers", [lambda: {"s3": credentials(endpoint)}])
    monkeypatch.setattr(connection, "_file_systems", {})
