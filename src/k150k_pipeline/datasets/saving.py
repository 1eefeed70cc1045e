"""Errors of files that cannot be written, in the form that Kedro passes on unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kedro.io import DatasetError

from k150k_pipeline.durable import UnwritableError


@contextmanager
def unwritable_as_dataset_error() -> Iterator[None]:
    """Turn the error of a file that cannot be written into Kedro's own, with the same message.

    Kedro puts a description of the dataset before the message of any other error.

    Raises:
        DatasetError: The file cannot be written.
    """
    try:
        yield
    except UnwritableError as error:
        raise DatasetError(str(error)) from error
