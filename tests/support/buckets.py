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
def local_copies(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Yield the folder in which this process and those of the test have their copies."""
    tmp_path_factory.getbasetemp()  # made where TMPDIR was before
    with tempfile.TemporaryDirectory(prefix="k ") as folder:  # short: sockets are made in it
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(folder)


@pytest.fixture
def bucket(store: ObjectStore, local_copies: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Return a new bucket."""
    made = Bucket(store.files(), f"b-{uuid.uuid4().hex[:8]}", local_copies)
    made.files.mkdir(made.name)
    use_here(monkeypatch, store.endpoint)
    return made


def use_here(monkeypatch: pytest.MonkeyPatch, endpoint: str, **chosen: float) -> None:
    """Let this process use a store with few seconds of patience."""
    settings.use(settings.Settings(**{"patience_s": 2.0, **chosen}))
    monkeypatch.setenv("K150K_STORE", os.environ["K150K_STORE"])
    monkeypatch.setattr(settings, "_readers", [lambda: {"s3": credentials(endpoint)}])
    monkeypatch.setattr(connection, "_file_systems", {})
