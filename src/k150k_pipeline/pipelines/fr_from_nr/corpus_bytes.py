"""Which lines of a journal are about the bytes that the MOS corpus names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from k150k_pipeline.journal import Entry
from k150k_pipeline.pipelines.fr_from_nr.plan import FrClip


class CorpusBytes:
    """Tells the lines about other bytes than those of the MOS corpus from the others.

    A clip without a SHA-256 in the corpus may have any bytes, and so may a failure of an earlier
    version, which does not record its file.

    Args:
        clips: Clips of the corpus, by name.

    Attributes:
        other: Clips that have rows of other bytes.
    """

    def __init__(self, clips: Mapping[str, FrClip]) -> None:
        self._clips = clips
        self.other: set[str] = set()

    def counts(self, entry: Entry) -> bool:
        """Tell whether a line counts for the corpus."""
        clip = self._clips.get(entry.clip)
        if clip is None or not clip.sha256:
            return True
        if entry.failure is not None:
            return entry.file is None or entry.file.sha256 == clip.sha256
        # Every journal line has the hash in this form; to parse all rows takes far longer.
        if f'"src_sha256":"{clip.sha256}"'.encode() in (entry.payload_json or b""):
            return True
        self.other.add(entry.clip)
        return False

    def of(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the entries that count."""
        return filter(self.counts, entries)
