"""Clips that have other bytes than when they were tried: what of their rows and failures counts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from k150k_pipeline.durable import write_text
from k150k_pipeline.errors import InputError
from k150k_pipeline.journal import Entry, Journal
from k150k_pipeline.media.identity import FileIdentity
from k150k_pipeline.storage import fetched

logger = logging.getLogger(__name__)

OnClipChange = Literal["rescore", "refuse", "keep"]
Look = Callable[[str], FileIdentity | None]
"""Returns size and time of change of a clip's file; None where that is not there."""

Identify = Callable[[str], FileIdentity | None]
"""Hashes a clip; None if it cannot be read."""

_FILE = "same_bytes.jsonl"
_NAMED = 3
_UNRECORDED = ""

Made = list[tuple[float, FileIdentity | None]]
"""Of each row of a clip when it was made, and from which file; None in older journals."""


@dataclass
class Changes:
    """What has become of the clips that have rows or failures.

    Attributes:
        changed: Clips without a row of their present bytes, sorted.
        unknown: Number of clips on the disk whose rows do not record the bytes they were made of.
        superseded: SHA-256 of the bytes whose rows and failures do not count, by clip; empty texts
            stand for rows that record none.
    """

    changed: list[str] = field(default_factory=list)
    unknown: int = 0
    superseded: dict[str, list[str]] = field(default_factory=dict)

    def supersede(self, clip: str, digests: Collection[str]) -> None:
        """Add bytes of a clip that do not count."""
        if digests:
            self.superseded[clip] = sorted({*digests, *self.superseded.get(clip, [])})


class RowFiles:
    """The files that the lines of a journal are about, noted while it is read.

    Args:
        usable: Fingerprints whose rows count.

    Attributes:
        by_clip: Of each row of a clip when it was made, and from which file.
        failed: The files of each clip's failures, where they are recorded.
    """

    def __init__(self, usable: Collection[str]) -> None:
        self._usable = frozenset(usable)
        self.by_clip: dict[str, Made] = {}
        self.failed: dict[str, list[FileIdentity]] = {}

    def note(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the entries of a journal."""
        for entry in entries:
            if entry.fingerprint in self._usable:
                self._note(entry)
            yield entry

    def _note(self, entry: Entry) -> None:
        if entry.failure is None:
            self.by_clip.setdefault(entry.clip, []).append((entry.at, entry.file))
        elif entry.file is not None:
            self.failed.setdefault(entry.clip, []).append(entry.file)


def find_changes(files: RowFiles, look: Look, journal: Journal, identify: Identify) -> Changes:
    """Compare the clips on the disk with the files that their rows and failures are of.

    A clip is hashed only if its size is that of such a file and its time of change is not. Hashes
    of clips that proved to be the same are kept in the journal's folder for the next run.

    Args:
        files: Files of the rows and failures.
        look: Looks at a clip; of those that are not there the latest rows count.
        journal: The journal.
        identify: Hashes a clip.
    """
    changes, seen = Changes(), SameBytes(journal)
    for clip, made in files.by_clip.items():
        known = [file for _, file in made if file is not None]
        there = look(clip)
        if not known:
            changes.unknown += there is not None
            continue
        if there is None:
            present: str | None = max((at, file.sha256) for at, file in made if file)[1]
        else:
            present = _present(clip, [*known, *seen.of(clip)], there, identify, seen)
        digests = {file.sha256 if file else _UNRECORDED for _, file in made}
        changes.supersede(clip, digests - {present})
        if present not in digests:
            changes.changed.append(clip)
    for clip, tried in files.failed.items():
        if (there := look(clip)) is not None:
            present = _present(clip, [*tried, *seen.of(clip)], there, identify, seen)
            changes.supersede(clip, {file.sha256 for file in tried} - {present})
    seen.write()
    changes.changed.sort()
    return changes


def settle(changes: Changes, on_change: OnClipChange) -> None:
    """Refuse a run with changed clips, or warn of them.

    Raises:
        InputError: There are changed clips, and they are refused.
    """
    if not changes.changed:
        return
    more = ", …" if len(changes.changed) > _NAMED else ""
    named = f"{len(changes.changed)} ({', '.join(changes.changed[:_NAMED])}{more})"
    if on_change == "refuse":
        raise InputError(
            f"{named} of the clips are not the files that their rows were made from. Choose with "
            "extract.on_clip_change=rescore (score them again) or =keep (keep the rows), or put "
            "the earlier files back"
        )
    logger.warning(
        "%s of the clips are not the files that their rows were made from: they are scored again",
        named,
    )


def counting(
    entries: Iterable[Entry], superseded: Mapping[str, Collection[str]]
) -> Iterator[Entry]:
    """Yield the entries of a journal without the rows and failures of superseded bytes."""
    for entry in entries:
        digests = superseded.get(entry.clip)
        unrecorded = entry.failure is not None and entry.file is None
        if digests is None or unrecorded or _digest(entry) not in digests:
            yield entry


class SameBytes:
    """Clips that were touched, copied or moved, and hashed: they need not be hashed again.

    Args:
        journal: The journal in whose folder they are noted.
    """

    def __init__(self, journal: Journal) -> None:
        self._path = journal.folder / _FILE
        self._files = dict(_read_notes(self._path))
        self._new = False

    def of(self, clip: str) -> list[FileIdentity]:
        """Return what is known of a clip."""
        return [self._files[clip]] if clip in self._files else []

    def add(self, clip: str, file: FileIdentity) -> None:
        """Note a clip that was hashed."""
        self._files[clip], self._new = file, True

    def write(self) -> None:
        """Write the notes, if there are new ones; raises as :func:`write_text` does."""
        if self._new:
            notes = ({"clip": clip, **file.as_dict()} for clip, file in self._files.items())
            write_text(self._path, "".join(json.dumps(note) + "\n" for note in notes))


def _present(
    clip: str,
    known: list[FileIdentity],
    there: FileIdentity,
    identify: Identify,
    seen: SameBytes,
) -> str | None:
    """Return the SHA-256 of a clip's present bytes; None if they are none of those known."""
    for file in known:
        if file.is_version(there):
            return file.sha256
    if all(file.size != there.size for file in known):
        return None
    found = identify(clip)
    if found is None or found.sha256 not in {file.sha256 for file in known}:
        return None
    seen.add(clip, found)
    return found.sha256


def _digest(entry: Entry) -> str:
    return entry.file.sha256 if entry.file else _UNRECORDED


def _read_notes(path: Path) -> Iterator[tuple[str, FileIdentity]]:
    """Yield the notes in a file; what cannot be read costs a hash."""
    try:
        lines = fetched(path).read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            note = json.loads(line)
            file = FileIdentity.parse(note)
        except (ValueError, RecursionError):
            continue
        if file is not None and isinstance(note.get("clip"), str):
            yield note["clip"], file
