"""Planning of an ingestion: which clips to download, which to probe, and which are done."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import get_type_hints

from k150k_pipeline.download.state import FILE_NAME, DownloadState
from k150k_pipeline.errors import InputError
from k150k_pipeline.journal import Entry, Journal
from k150k_pipeline.journal.files import Damage
from k150k_pipeline.journal.fingerprint import fingerprint
from k150k_pipeline.journal.precedence import latest
from k150k_pipeline.media.facts import ClipFacts
from k150k_pipeline.pipelines import clipwise
from k150k_pipeline.pipelines.ingest.plan import DropLabels, IngestPlan, Label
from k150k_pipeline.pipelines.ingest.probing import describe_probing
from k150k_pipeline.schemas.ingest import IngestParameters
from k150k_pipeline.schemas.labels import CLIP_SUFFIXES
from k150k_pipeline.storage import place, url_of
from k150k_pipeline.storage.connection import listing

logger = logging.getLogger(__name__)

_BROKEN = ("truncated", "corrupt", "no_frame", "not_media", "wrong_checksum")
_MOST_TIMES_BROKEN = 3
"""A clip that was broken so often is not downloaded again."""
_FACT_TYPES = {
    name: (int, float) if kind is float else kind
    for name, kind in get_type_hints(ClipFacts).items()
}
_FACT_DEFAULTS = {f.name: f.default for f in fields(ClipFacts) if f.default is not MISSING}

Known = dict[str, tuple[ClipFacts, float]]
"""Facts of each clip by file name, and when it was probed, in seconds since the epoch."""


def make_plan(
    labels: DropLabels, state: DownloadState, journal: Journal, ingest: IngestParameters
) -> IngestPlan:
    """Decide what is due, from labels, clips on the disk, journal and download state."""
    started_at = time.time()
    scoring = describe_probing(ingest)
    accepted = _accepted(ingest)
    damage = Damage(torn=journal.cut_torn_lines())
    known = known_facts(journal, {fingerprint(scoring), *accepted}, damage)
    clipwise.warn_of_damage(journal, damage)
    sorter = _Sorter(labels, known, state, ingest)
    if ingest.probe != "none":
        for name, label in labels.rows.items():
            sorter.sort(name, label)
        _refuse_without_clips(labels, sorter.missing)
        if sorter.may_be_downloaded:
            sorter.fetch_again(read_downloads(journal))
    within_limit = set(list(labels.rows)[: ingest.limit])
    fetch, probe = ([n for n in due if n in within_limit] for due in (sorter.fetch, sorter.probe))
    state.flush()
    return IngestPlan(
        fingerprint=fingerprint(scoring),
        accepted=sorted(accepted),
        scoring=scoring,
        wanted=len(labels.rows),
        fetch=fetch,
        probe=probe,
        done_before=sorter.done,
        given_up=sorter.given_up,
        left_out=len(sorter.fetch) + len(sorter.probe) - len(fetch) - len(probe),
        labels_without_clip=sorter.missing,
        clips_without_label=sorted(sorter.names_on_disk() - labels.rows.keys()),
        torn_lines=damage.torn,
        broken_lines=damage.broken,
        started_at=started_at,
    )


def known_facts(
    journal: Journal, fingerprints: Iterable[str], damage: Damage | None = None
) -> Known:
    """Return the facts of every clip that was sound when it was last probed.

    They stay true if a later download of the clip failed.
    """
    usable = set(fingerprints)
    entries = journal.entries(damage, _has_facts)
    probed = (e for e in entries if e.fingerprint in usable and _was_probed(e))
    return {
        name: (ClipFacts.from_payload(entry.payload()), entry.at)
        for name, entry in latest(probed).items()
        if entry.failure is None
    }


@dataclass
class Downloads:
    """What earlier runs have downloaded.

    Attributes:
        files: Name, size and time of change of every clip that was downloaded.
        broken: How often each clip was found to be incomplete or damaged.
    """

    files: set[tuple[str, int, int]] = field(default_factory=set)
    broken: Counter[str] = field(default_factory=Counter)


def read_downloads(journal: Journal) -> Downloads:
    """Return what earlier runs have downloaded, and what was broken."""
    downloads = Downloads()
    for entry in journal.entries():
        if entry.file is not None:
            downloads.files.add((entry.clip, entry.file.size, entry.file.mtime_ns))
        failure = entry.failure
        if failure is not None and failure.stage != "download" and failure.reason in _BROKEN:
            downloads.broken[entry.clip] += 1
    return downloads


def _has_facts(entry: Entry) -> bool:
    """Return whether the payload of an entry has the facts of a clip, and nothing else."""
    facts = {**_FACT_DEFAULTS, **entry.payload()}
    return facts.keys() == _FACT_TYPES.keys() and all(
        isinstance(facts[name], kind) for name, kind in _FACT_TYPES.items()
    )


def _was_probed(entry: Entry) -> bool:
    return entry.failure is None or entry.failure.stage != "download"


def state_path(drop: Path, ingest: IngestParameters) -> Path:
    """Return the path of the download-progress file."""
    return ingest.progress_path or drop / FILE_NAME


def announce(journal: Journal, plan: IngestPlan, labels: DropLabels, every: int) -> None:
    """Write down in the journal, and log, what the run is to do."""
    clipwise.announce(
        journal,
        plan,
        wanted=plan.wanted,
        due=len(plan.fetch) + len(plan.probe),
        flush_every=every,
    )
    logger.info(
        "%s layout (%s): %d labelled clips, %d done; %d to download, %d to probe, %d given up "
        "earlier, %d without a file",
        labels.layout, ", ".join(labels.tables), plan.wanted, plan.done_before,
        len(plan.fetch), len(plan.probe), len(plan.given_up), len(plan.labels_without_clip),
    )  # fmt: skip


def _refuse_without_clips(labels: DropLabels, missing: Sequence[str]) -> None:
    if len(missing) == len(labels.rows):
        raise InputError(
            f"none of the {len(missing)} labelled clips, such as {missing[0]}, is in "
            f"{' or '.join(labels.folders)}, and none has an address. Put the clips there, or set "
            "ingest.probe=none for a corpus without facts of its clips"
        )


def _accepted(ingest: IngestParameters) -> set[str]:
    """Return the fingerprints of stricter probing: a decoded clip has had its header read."""
    if ingest.integrity == "decode":
        return set()
    return {fingerprint(describe_probing(ingest.model_copy(update={"integrity": "decode"})))}


class _Sorter:
    """Sorts the clips into those to download, those to probe, and others."""

    def __init__(
        self, labels: DropLabels, known: Known, state: DownloadState, ingest: IngestParameters
    ) -> None:
        self._known, self._state = known, state
        self._on_disk = [_list(place(folder)) for folder in labels.folders]
        self._failed = state.given_up(ingest.download.retry_failed)
        self.fetch: list[str] = []
        self.probe: list[str] = []
        self.missing: list[str] = []
        self.given_up: dict[str, str] = {}
        self.may_be_downloaded: dict[str, tuple[int, int]] = {}
        """Size and time of change of the clips to probe that have an address."""
        self.done = 0

    def names_on_disk(self) -> set[str]:
        """Return the names of all clip files."""
        return {name for folder in self._on_disk for name in folder}

    def sort(self, name: str, label: Label) -> None:
        """Sort one clip."""
        status = self._on_disk[label.folder].get(name)
        if status is not None:
            self._sort_present(name, label, status)
        elif label.url and name in self._failed:
            self.given_up[name] = self._failed[name]
        elif label.url:
            self.fetch.append(name)
        elif name in self._known:
            self.done += 1
        else:
            self.missing.append(name)

    def _sort_present(self, name: str, label: Label, status: tuple[int, int]) -> None:
        if label.url:
            self._state.done(name)
        facts = self._known[name][0] if name in self._known else None
        if facts is not None and (facts.size, facts.mtime_ns) == status:
            self.done += 1
            return
        self.probe.append(name)
        if label.url:
            self.may_be_downloaded[name] = status

    def fetch_again(self, downloads: Downloads) -> None:
        """Download, instead of probing it, what was downloaded and is broken.

        A file that has changed since is somebody else's and is never replaced.
        """
        broken = downloads.broken
        again = {
            name
            for name, status in self.may_be_downloaded.items()
            if (name, *status) in downloads.files and 0 < broken[name] < _MOST_TIMES_BROKEN
        }
        self.probe = [name for name in self.probe if name not in again]
        self.fetch = sorted([*self.fetch, *again])


def _list(folder: Path) -> Mapping[str, tuple[int, int]]:
    """Return size and time of change of every clip file in a folder; empty without the folder."""
    if (url := url_of(folder)) is not None:
        objects = [each for each in listing(url) if _is_clip(each.name)]
        return {each.name: (each.size, each.mtime_ns) for each in objects}
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as files:
        found = {file.name: _status(file) for file in files if _is_clip(file.name)}
    return {name: status for name, status in found.items() if status is not None}


def _is_clip(name: str) -> bool:
    return name.lower().endswith(CLIP_SUFFIXES) and not name.startswith(".")


def _status(file: os.DirEntry[str]) -> tuple[int, int] | None:
    """Return size and time of change; None if it is not a file but a pipe or a broken link."""
    try:
        status = file.stat() if file.is_file() else None
    except OSError:
        return None
    return None if status is None else (status.st_size, status.st_mtime_ns)
