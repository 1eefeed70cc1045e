"""Whether a container is whole: the result of walking through its parts, and a limit on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

MOST_PARTS = 500_000
"""Parts after which a walk is given up: a hostile file has tens of millions of empty boxes."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wholeness:
    """Whether a file is whole; it is if both texts are empty.

    Attributes:
        missing: What is missing.
        doubt: Why it is unknown whether something is missing.
    """

    missing: str = ""
    doubt: str = ""


WHOLE = Wholeness()

_UNREAD = "a part of it may be skipped: "


def unread(problem: str) -> Wholeness:
    """Return the doubt that a demuxer skips a part, of a file whose end is there."""
    return Wholeness(doubt=_UNREAD + problem)


def is_end_known(doubt: str) -> bool:
    """Return whether a file ends where it should, for all that is in doubt about it."""
    return not doubt or doubt.startswith(_UNREAD)


class TooManyPartsError(Exception):
    """A container has more parts than are walked through."""


def limited(parts: Iterable[T]) -> Iterator[T]:
    """Yield the parts of a container, up to a limit.

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
    """Return that a file of ``size`` bytes should have ``end`` bytes."""
    return Wholeness(missing=f"{end - size} of {end} bytes are missing at its end")
