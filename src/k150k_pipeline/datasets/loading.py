"""What the datasets say alike of a file that cannot be loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kedro.io import DatasetError


@contextmanager
def unreadable_as_dataset_error(path: Path, what: str) -> Iterator[None]:
    """Turn the error of an output that cannot be read into Kedro's own, with what to do.

    Args:
        path: The file.
        what: What it should be, in words.

    Raises:
        DatasetError: The file does not exist, or is something else.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DatasetError(
            f"{path} does not exist: run the pipeline that makes it first"
        ) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise DatasetError(
            f"{path} is not {what} ({error}): run the pipeline that makes it again"
        ) from error
