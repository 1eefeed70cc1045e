"""Planning of an FR corpus: what is due, and the reasons to refuse a run before its start."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Hashable, Mapping
from operator import itemgetter
from typing import Any

import pandas as pd

from k150k_pipeline.datasets import ClipFolder
from k150k_pipeline.errors import InputError
from k150k_pipeline.fr_from_nr import NrInputRow, NrToFrAdapter, rows_of
from k150k_pipeline.fr_from_nr.isolated_sweep import make_adapter
from k150k_pipeline.journal import Entry, Journal
from k150k_pipeline.journal.due import Progress, survey
from k150k_pipeline.journal.files import Check, Damage
from k150k_pipeline.journal.fingerprint import fingerprint
from k150k_pipeline.pipelines import clipwise
from k150k_pipeline.pipelines.clipwise import read_due, refuse_foreign_rows
from k150k_pipeline.pipelines.fr_from_nr.corpus_bytes import CorpusBytes
from k150k_pipeline.pipelines.fr_from_nr.plan import FrClip, FrPlan
from k150k_pipeline.plural import counted
from k150k_pipeline.schemas.fr import FR_SCHEMA_VERSION, FrRow
from k150k_pipeline.schemas.fr_parameters import FrParameters
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.schemas.scoring_class import of_one_class
from k150k_pipeline.vmaf import settle_backend

logger = logging.getLogger(__name__)

_TYPES: dict[str, set[type]] = {
    "integer": {int},
    "number": {int, float},
    "boolean": {bool},
    "string": {str},
}
_RULES = 1
"""Raise it whenever rows are made from a clip in another way."""


def make_plan(
    corpus: pd.DataFrame,
    clips: ClipFolder,
    journal: Journal,
    fr: FrParameters,
    vmaf: VmafParameters,
) -> FrPlan:
    """Decide which clips are due.

    Raises:
        InputError: The corpus is unusable, none of its clips exists, or the journal has foreign
            rows.
        EngineError: ffmpeg, encoder or engine is missing or lacks something.
    """
    started_at, run_id = time.time(), uuid.uuid4().hex
    rows = read_corpus(corpus)
    present = set(clips.names())
    scoring = describe(make_adapter(fr, vmaf, run_id), fr)
    key = fingerprint(scoring)
    logger.info("Engine: %s%s", scoring["backend"], settle_backend(vmaf)[1])
    damage = Damage(torn=journal.cut_torn_lines())
    scorings = journal.scorings()
    accepted = _accepted_fingerprints(scorings, key, scoring, fr)
    same = CorpusBytes(rows)
    entries = same.of(journal.entries(damage, sweep_check(scorings)))
    progress = survey(entries, key, accepted)
    clipwise.warn_of_damage(journal, damage)
    if fr.on_engine_change == "refuse":
        refuse_foreign_rows(journal, progress, scoring, "fr_from_nr.on_engine_change")
    wanted = _wanted(rows, present, progress, clips)
    changed = sorted(same.other.intersection(wanted) - progress.done)
    due, attempts = read_due(wanted[: fr.limit], progress, fr.max_attempts)
    return FrPlan(
        corpus=fr.corpus,
        run_id=run_id,
        fingerprint=key,
        accepted=sorted(accepted),
        scoring=scoring,
        clips={name: rows[name] for name in wanted},
        due=due,
        changed_clips=changed,
        attempts=attempts,
        done_before=sum(1 for name in wanted if name in progress.done),
        clips_without_label=sorted(present - rows.keys()),
        labels_without_clip=sorted(rows.keys() - set(wanted)),
        torn_lines=damage.torn,
        broken_lines=damage.broken,
        started_at=started_at,
    )


def _accepted_fingerprints(
    scorings: Mapping[str, Mapping[str, Any]],
    key: str,
    scoring: Mapping[str, Any],
    fr: FrParameters,
) -> set[str]:
    if fr.on_engine_change == "mix":
        return set(scorings) - {key}
    return of_one_class(scorings, key, scoring)


def read_corpus(corpus: pd.DataFrame) -> dict[str, FrClip]:
    """Return the clips of a MOS corpus by name.

    Raises:
        InputError: There is no row, a row has no ``src``, or two rows are of one clip.
    """
    rows: dict[str, FrClip] = {}
    for number, record in enumerate(corpus.to_dict("records"), start=1):
        row = NrInputRow.from_dict(_present(record))
        if row.src in rows:
            raise InputError(f"corpus JSONL, row {number}: a second row of {row.src}: keep one")
        rows[row.src] = FrClip(mos=row.mos, sha256=row.src_sha256)
    if not rows:
        raise InputError("the corpus JSONL has no row: make it with kedro run --pipelines=ingest")
    return rows


def sweep_check(scorings: Mapping[str, Mapping[str, Any]]) -> Check:
    """Return the test that the payload of an entry has the rows of its whole sweep.

    Args:
        scorings: What each fingerprint stands for.
    """
    keys = _keys_by_type()

    def is_sweep(entry: Entry) -> bool:
        sweep = str(scorings[entry.fingerprint].get("crf_sweep")).split()
        try:
            rows = list(rows_of(entry.payload(), None))
            typed = all({*map(type, of(row))} <= kinds for row in rows for of, kinds in keys)
        except (KeyError, TypeError):
            return False
        return typed and [str(row["crf"]) for row in rows] == sweep

    return is_sweep


def _keys_by_type() -> list[tuple[Callable[[Any], tuple[Any, ...]], set[type]]]:
    """Return what takes the values of one type out of a row, and the Python types of that type."""
    fields = FrRow.model_json_schema()["properties"]
    names = {
        kind: [name for name, field in fields.items() if field.get("type") == kind]
        for kind in _TYPES
    }
    return [(itemgetter(*names[kind]), types) for kind, types in _TYPES.items()]


def describe(adapter: NrToFrAdapter, fr: FrParameters) -> dict[str, str | int]:
    """Return everything that determines the numbers, in a form that a person can read."""
    identity = adapter.identity
    return {
        **identity.engine.as_dict(),
        "encoder": fr.encoder,
        "encoder_version": identity.encoder_version,
        "preset": fr.preset,
        "encoder_threads": fr.threads,
        "crf_sweep": " ".join(map(str, fr.crf_sweep)),
        "fr_rules": _RULES,
        "schema_version": FR_SCHEMA_VERSION,
    }


def announce(journal: Journal, plan: FrPlan, fr: FrParameters) -> None:
    """Write down in the journal, and log, what the run is to do."""
    clipwise.announce(
        journal,
        plan,
        wanted=len(plan.clips),
        due=len(plan.due),
        flush_every=fr.flush_every,
    )
    logger.info(
        "%s of the corpus: %d done, %d due, %s each; %s without a clip",
        counted(len(plan.clips), "clip"), plan.done_before, len(plan.due),
        counted(len(fr.crf_sweep), "row"), counted(len(plan.labels_without_clip), "corpus row"),
    )  # fmt: skip
    if changed := plan.changed_clips:
        logger.warning(
            "%d of the clips (%s) have rows of other bytes than the corpus names: these rows do "
            "not count, and the clips are encoded and scored again",
            len(changed), clipwise.first(changed),
        )  # fmt: skip


def _wanted(
    rows: Mapping[str, FrClip], present: set[str], progress: Progress, clips: ClipFolder
) -> list[str]:
    wanted = sorted(name for name in rows if name in present or name in progress.done)
    if not wanted:
        raise InputError(
            f"none of the {len(rows)} rows of the corpus JSONL names a clip: named are "
            f"{sorted(rows)[:3]}, and {clips.describe()}"
        )
    return wanted


def _present(record: Mapping[Hashable, Any]) -> dict[str, Any]:
    """Return a record without its missing values."""
    return {str(key): value for key, value in record.items() if not pd.isna(value)}
