"""Which line of a clip counts if a journal has several."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from k150k_pipeline.journal.records import Entry


class RowChoice:
    """Chooses each clip's row: its first one, unless a later one is of the run's own fingerprint.

    Args:
        own: Fingerprint of the run.
        accepted: Other fingerprints whose rows count.

    Attributes:
        chosen: Fingerprint of the row that counts, by clip.
    """

    def __init__(self, own: str, accepted: Collection[str]) -> None:
        self._own = own
        self._usable = {own, *accepted}
        self.chosen: dict[str, str] = {}

    def usable(self, fingerprint: str) -> bool:
        """Return whether rows of a fingerprint may count."""
        return fingerprint in self._usable

    def takes(self, clip: str, fingerprint: str) -> bool:
        """Note the next row of a clip; return whether it counts and replaces an earlier one."""
        before = self.chosen.get(clip)
        counts = before is None or before != self._own == fingerprint
        if not (counts and self.usable(fingerprint)):
            return False
        self.chosen[clip] = fingerprint
        return True


def latest(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return the latest line of each clip; the lines may be of different shards."""
    last: dict[str, Entry] = {}
    for entry in entries:
        if ended_later(entry, last.get(entry.clip)):
            last[entry.clip] = entry
    return last


def ended_later(entry: Entry, before: Entry | None) -> bool:
    """Return whether a line is later than one read before it, or as late."""
    return before is None or entry.at >= before.at
