"""Counts as words: ``1 clip``, ``1,234 clips``."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number and what it counts.

    Args:
        number: The count.
        noun: What is counted, in the singular.
        plural: Its plural; by default with an ``s``.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def have(number: int) -> str:
    """Return ``has`` or ``have``, after a number of things."""
    return "has" if number == 1 else "have"
