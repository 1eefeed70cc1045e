"""Facts of the clips in the features table, for the table of extra columns."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

import pyarrow as pa

from k150k_pipeline.cores import usable_cores
from k150k_pipeline.datasets import ClipFolder
from k150k_pipeline.datasets.extra_columns import EXTRA_RULES
from k150k_pipeline.errors import ClipError
from k150k_pipeline.isolation import ClipTask, HelperPool
from k150k_pipeline.journal import Entry, Journal, Payload
from k150k_pipeline.journal.files import Damage
from k150k_pipeline.journal.fingerprint import fingerprint
from k150k_pipeline.journal.worker import try_again_when_killed
from k150k_pipeline.media.extra import read_extra
from k150k_pipeline.media.identity import FileIdentity
from k150k_pipeline.pipelines.clipwise import warn_of_damage
from k150k_pipeline.pipelines.feature_extraction.outputs import PACKAGE
from k150k_pipeline.schemas.features import METADATA_KEY
from k150k_pipeline.schemas.parameters import ExtractParameters

logger = logging.getLogger(__name__)

T = TypeVar("T")
Reading = tuple[Payload, FileIdentity | None]
"""What was read of a clip, and the file that it was read from."""

_SECONDS_BETWEEN_LINES = 30
_ABSENT = object()
_TYPES = {"fps": pa.float64(), "is_hdr": pa.bool_()}


def describe_clips(
    names: Sequence[str], clips: ClipFolder, journal: Journal, extract: ExtractParameters
) -> dict[str, Payload]:
    """Return the extra columns of clips, from the records of earlier runs or the clips themselves.

    What is read is recorded in the folder ``extra`` of the journal, clip by clip.

    Args:
        names: Names of the clips.
        clips: Folder of the clips.
        journal: Journal of the run.
        extract: Block ``extract``.

    Returns:
        Extra columns by clip. Clips that are gone or cannot be opened are left out, with a
        warning.

    Raises:
        JournalError: A record cannot be read or written.
    """
    records, damage = records_of(journal), Damage()
    records.cut_torn_lines()
    key, wanted = fingerprint(EXTRA_RULES), set(names)
    known = {
        entry.clip: entry.payload()
        for entry in records.entries(damage, _has_extra)
        if entry.clip in wanted and entry.fingerprint == key and _is_current(entry, clips, extract)
    }
    warn_of_damage(records, damage)
    due = [name for name in names if name not in known]
    if due:
        logger.info("Reading %s of %d clips", " and ".join(extract.extra_columns), len(due))
    return {**known, **_record(due, clips, records, extract)}


def _is_current(entry: Entry, clips: ClipFolder, extract: ExtractParameters) -> bool:
    """Return whether a clip is the file that was read; one that is gone counts as that."""
    if entry.file is None or extract.on_clip_change == "keep":
        return True
    present = clips.unread(entry.clip)
    return present is None or present == entry.file


def records_of(journal: Journal) -> Journal:
    """Return the journal of the extra columns, which is in a folder of the other journal."""
    return Journal(journal.folder / "extra", journal.output)


def _has_extra(entry: Entry) -> bool:
    fps, is_hdr = (entry.payload().get(column, _ABSENT) for column in _TYPES)
    return isinstance(fps, float | None) and isinstance(is_hdr, bool)


def extra_table(
    names: Sequence[str], facts: Mapping[str, Payload], extract: ExtractParameters
) -> pa.Table:
    """Return the table of extra columns: one row per name, null where nothing is known."""
    nothing: Payload = {}
    columns: dict[str, pa.Array] = {"clip_name": pa.array(names, pa.string())}
    for column in extract.extra_columns:
        values = [facts.get(name, nothing).get(column) for name in names]
        columns[column] = pa.array(values, _TYPES[column])
    description: dict[str, str | int] = {**EXTRA_RULES, "package": PACKAGE}
    metadata = {METADATA_KEY: json.dumps(description, sort_keys=True).encode()}
    return pa.table(columns).replace_schema_metadata(metadata)


def _record(
    due: Sequence[str], clips: ClipFolder, records: Journal, extract: ExtractParameters
) -> dict[str, Payload]:
    """Read clips and record each; return what was read, by clip."""
    found: dict[str, Payload] = {}
    problems: Counter[str] = Counter()
    with (
        records.writer(0, fingerprint(EXTRA_RULES), EXTRA_RULES) as writer,
        closing(_read_all(due, clips, extract)) as results,
    ):
        for name, result in _log_progress(results, len(due)):
            if isinstance(result, ClipError):
                problems[result.reason] += 1
            else:
                payload, file = result
                writer.ok(name, 1, 0.0, payload, file)
                found[name] = payload
    if problems:
        _warn(problems)
    return found


def _log_progress(results: Iterable[T], total: int) -> Iterator[T]:
    logged_at = time.monotonic()
    for number, result in enumerate(results):
        if time.monotonic() > logged_at + _SECONDS_BETWEEN_LINES:
            logged_at = time.monotonic()
            logger.info("Read %d of %d clips", number, total)
        yield result


def _read_all(
    names: Sequence[str], clips: ClipFolder, extract: ExtractParameters
) -> Generator[tuple[str, Reading | ClipError], None, None]:
    """Yield each clip with what was read or why nothing was; several are read at a time."""
    size = max(1, min(extract.workers or usable_cores(), len(names)))
    with (
        HelperPool(size, extract.memory_limit_mb) as helpers,
        ThreadPoolExecutor(size) as threads,
    ):

        def read(name: str) -> Reading | ClipError:
            with clips.at_hand() as here:
                try:
                    path = here.find(name)
                    file = FileIdentity.unread(path)
                    task = ClipTask("probe", path, extract.probe_timeout_s)
                    facts = try_again_when_killed(
                        lambda _: helpers.call(task, read_extra, path), name
                    )
                except ClipError as error:
                    return error
            return facts, file

        try:
            yield from zip(names, threads.map(read, names), strict=True)
        finally:
            threads.shutdown(cancel_futures=True)


def _warn(problems: Counter[str]) -> None:
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(problems.items()))
    logger.warning(
        "%d rows have no extra columns, because their clips cannot be opened now: %s. The next run "
        "tries again",
        problems.total(), reasons,
    )  # fmt: skip
