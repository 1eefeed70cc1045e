"""Suggestions for a mistyped name."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

_SHOWN = 8
_MOST_SHOWN_WHOLE = 12


def nearest_first(name: str, known: Iterable[str]) -> list[str]:
    """Return names by their likeness to another; those that end with it come first."""

    def likeness(other: str) -> tuple[bool, float]:
        return other.endswith(f".{name}"), SequenceMatcher(None, name, other).ratio()

    return sorted(sorted(known), key=likeness, reverse=True)


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return the message that a name is unknown, with the names that exist.

    Args:
        what: Kind of thing that is named, such as ``pipeline``.
        name: The name.
        known: All names that exist.
    """
    ranked = nearest_first(name, known)
    if not ranked:
        return f"there is no {what} {name!r}, and no other {what} either: leave the option out"
    return f"there is no {what} {name!r}. There are, nearest first: {shortened(ranked)}"


def shortened(names: list[str]) -> str:
    """Return all names if they are few, else the first ones, with commas between them."""
    if len(names) <= _MOST_SHOWN_WHOLE:
        return ", ".join(names)
    return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more"


def either(names: list[str]) -> str:
    """Return names with ``or`` before the last."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def unknown_parameter(key: str, known: Iterable[str], members: Iterable[str]) -> str:
    """Return the message that a parameter is unknown, with suggestions.

    Args:
        key: The name on the command line, without a block.
        known: Names that need no block: those of blocks and of paths.
        members: Parameters with their blocks, such as ``extract.limit``.
    """
    by_leaf: dict[str, list[str]] = {}
    for member in members:
        by_leaf.setdefault(member.rpartition(".")[2], []).append(member)
    suggestions = by_leaf.get(key) or [
        name
        for near in get_close_matches(key, [*known, *by_leaf], n=3, cutoff=0.7)
        for name in ([near] if near in known else by_leaf[near])
    ]
    if suggestions:
        return f"there is no parameter {key!r}. Did you mean {either(suggestions[:_SHOWN])}?"
    ranked = nearest_first(key, known)
    return f"there is no parameter {key!r}. There are, nearest first: {shortened(ranked)}"
