"""What a walk through a container can say of its end, and how far such a walk goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

MOST_PARTS = 500_000
"""A walk ends here: a hostile file has tens of millions of empty boxes."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wholeness:
    """Whether a file is all there; it is when both texts are empty.

    Attributes:
        missing: What its bytes prove to be missing.
        doubt: Why its bytes cannot tell.
    """

    missing: str = ""
    doubt: str = ""


WHOLE = Wholeness()


class TooManyPartsError(Exception):
    """A walk was given up."""


def limited(parts: Iterable[T]) -> Iterator[T]:
    """Pass on the parts of a container.

    Raises:
        TooManyPartsError: There are more than :data:`MOST_PARTS`.
    """
    for number, part in enumerate(parts):
        if number == MOST_PARTS:
            raise TooManyPartsError
        yield part


def read_at(file: BinaryIO, position: int, length: int) -> bytes:
    """Return the bytes at a position; fewer at the end of the file."""
    file.seek(position)
    return file.read(length)


def lacking(end: int, size: int) -> Wholeness:
    """Say that a file of ``size`` bytes should have ``end``."""
    return Wholeness(missing=f"{end - size} of {end} bytes are missing at its end")
