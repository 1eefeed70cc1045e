"""What a mistyped name may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

_SHOWN = 8
_FEW = 12


def nearest_first(name: str, known: Iterable[str]) -> list[str]:
    """Return names by how much they look like another; those that end with it come first."""

    def likeness(other: str) -> tuple[bool, float]:
        return other.endswith(f".{name}"), SequenceMatcher(None, name, other).ratio()

    return sorted(sorted(known), key=likeness, reverse=True)


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return a sentence that says that a name is unknown, and names those that exist.

    Args:
        what: What the name stands for, such as ``pipeline``.
        name: The name.
        known: Every name that exists.
    """
    ranked = nearest_first(name, known)
    if not ranked:
        return f"there is no {what} {name!r}, and no other {what} either: leave the option out"
    return f"there is no {what} {name!r}. There are, nearest first: {shortened(ranked)}"


def shortened(names: list[str]) -> str:
    """Return a few names whole, of many the first, with commas between them."""
    if len(names) <= _FEW:
        return ", ".join(names)
    return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more"


def either(names: list[str]) -> str:
    """Return names with ``or`` before the last."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def unknown_parameter(key: str, known: Iterable[str], members: Iterable[str]) -> str:
    """Return a sentence that says that no parameter has a name, and which one may be meant.

    Args:
        key: The name as it was given, without a block.
        known: Names that may stand without a block: blocks and paths.
        members: Parameters with their blocks, such as ``extract.limit``.
    """
    by_leaf: dict[str, list[str]] = {}
    for member in members:
        by_leaf.setdefault(member.rpartition(".")[2], []).append(member)
    meant = by_leaf.get(key) or [
        name
        for near in get_close_matches(key, [*known, *by_leaf], n=3, cutoff=0.7)
        for name in ([near] if near in known else by_leaf[near])
    ]
    if meant:
        return f"there is no parameter {key!r}. Did you mean {either(meant[:_SHOWN])}?"
    ranked = nearest_first(key, known)
    return f"there is no parameter {key!r}. There are, nearest first: {shortened(ranked)}"
