"""What the datasets do alike before they read or write a file, and when they cannot."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kedro.io import DatasetError

from k150k_pipeline.durable import UnwritableError, keep, naming
from k150k_pipeline.storage import StoreError, fetched

logger = logging.getLogger(__name__)


def current(path: Path) -> Path:
    """Return a path that can be read: if it is of a store, after the object was fetched.

    Raises:
        DatasetError: The store cannot be used.
    """
    try:
        return fetched(path)
    except StoreError as error:
        raise DatasetError(str(error)) from error


def keep_foreign(path: Path, is_ours: Callable[[Path], bool]) -> None:
    """Keep a file that is about to be replaced under another name, if it is not of this package.

    Args:
        path: The file; it may be absent.
        is_ours: Returns whether this package has written it.

    Raises:
        UnwritableError: It cannot be kept.
    """
    with naming(path):
        if fetched(path).is_file() and not is_ours(path):
            logger.warning("%s is kept as %s and replaced", path, keep(path).name)


@contextmanager
def unwritable_as_dataset_error() -> Iterator[None]:
    """Turn the error of a file that cannot be written into Kedro's own, with the same message.

    Kedro puts a description of the dataset before the message of any other error.

    Raises:
        DatasetError: The file cannot be written.
    """
    try:
        yield
    except (UnwritableError, StoreError) as error:
        raise DatasetError(str(error)) from error
