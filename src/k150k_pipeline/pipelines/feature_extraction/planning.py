"""Planning of an extraction: what is due, and the reasons to refuse a run before its start."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from k150k_pipeline.datasets import ClipFolder
from k150k_pipeline.errors import ClipError, InputError, LostRowsError
from k150k_pipeline.journal import Journal
from k150k_pipeline.journal.due import Progress, survey
from k150k_pipeline.journal.files import Damage
from k150k_pipeline.media.identity import FileIdentity
from k150k_pipeline.pipelines import clipwise
from k150k_pipeline.pipelines.clipwise import refuse_foreign_rows
from k150k_pipeline.pipelines.clipwise.changes import Changes, RowFiles, find_changes, settle
from k150k_pipeline.pipelines.feature_extraction import legacy
from k150k_pipeline.pipelines.feature_extraction.keeping import is_superseded
from k150k_pipeline.pipelines.feature_extraction.outputs import is_row
from k150k_pipeline.pipelines.feature_extraction.plan import CLIPS_PER_PART, ExtractionPlan
from k150k_pipeline.pipelines.feature_extraction.repair import repair_done, repair_output
from k150k_pipeline.pipelines.feature_extraction.takeover import take_over
from k150k_pipeline.plural import counted
from k150k_pipeline.schemas.parameters import ExtractParameters
from k150k_pipeline.schemas.scoring_class import of_one_class
from k150k_pipeline.vmaf.isolated_scoring import IsolatedScorer

logger = logging.getLogger(__name__)

_NAMED = 5


@dataclass(frozen=True)
class Past:
    """The results of earlier runs, and of the older script.

    Attributes:
        progress: Which clips are done, failed, or of another engine.
        accepted: Other fingerprints whose rows are used too.
        recovered: Number of rows that this run took over.
        damage: Lines of the journal that cannot be read.
        changes: Clips that are not the files that their rows were made from.
    """

    progress: Progress
    accepted: set[str]
    recovered: int
    damage: Damage
    changes: Changes


def read_past(
    journal: Journal,
    key: str,
    scoring: Mapping[str, Any],
    extract: ExtractParameters,
    look: Callable[[RowFiles], Changes],
) -> Past:
    """Take over rows from the files beside the output, then read the whole journal.

    A clip that has changed is not done.

    Args:
        journal: Journal of the output.
        key: Fingerprint of the run.
        scoring: The description behind the fingerprint.
        extract: Block ``extract``.
        look: Compares the clips with the files of their rows.

    Raises:
        LostRowsError: ``.done`` lists clips that have no row anywhere.
        InputError: There are rows of another engine or plan, and ``extract.on_engine_change`` is
            ``refuse``; or a file beside the output has rows that do not fit; or clips have
            changed, and ``extract.on_clip_change`` is ``refuse``.
    """
    journal.fetch_output()
    repair_output(journal)
    damage = Damage(torn=journal.cut_torn_lines())
    taken = take_over(journal, extract)
    accepted = _accepted_fingerprints(journal, key, scoring, extract)
    files = RowFiles({key, *accepted})
    progress = survey(files.note(journal.entries(damage, is_row)), key, accepted)
    clipwise.warn_of_damage(journal, damage)
    if extract.legacy != "ignore":
        repair_done(journal)
        _look_for_lost_rows(journal, progress, taken.left, damage, extract)
    if extract.on_engine_change == "refuse":
        refuse_foreign_rows(
            journal,
            progress,
            scoring,
            "extract.on_engine_change",
            passed_over=legacy.FINGERPRINTS,
        )
    changes = look(files)
    settle(changes, extract.on_clip_change)
    progress.done.difference_update(changes.changed)
    _forget_other_files(progress, changes)
    return Past(progress, accepted, taken.rows, damage, changes)


def _forget_other_files(progress: Progress, changes: Changes) -> None:
    """Let a clip that failed and is another file now be tried as if it had never failed."""
    anew = [clip for clip, digests in changes.superseded.items() if progress.forget(clip, digests)]
    if number := len(set(anew) - progress.done):
        logger.info("%d of the clips that failed are other files now: they are tried anew", number)


def compare_files(
    files: RowFiles,
    present: Collection[str],
    clips: ClipFolder,
    journal: Journal,
    scorer: IsolatedScorer,
    extract: ExtractParameters,
) -> Changes:
    """Compare clips with the files of their rows; with ``extract.on_clip_change=keep`` none."""
    kept = extract.on_clip_change == "keep"
    with clips.at_hand() as here:

        def identify(name: str) -> FileIdentity | None:
            try:
                return scorer.identify_file(here.find(name))
            except ClipError as error:
                logger.warning("A clip whose time has changed cannot be compared: %s", error)
                return None

        def look(name: str) -> FileIdentity | None:
            return clips.unread(name) if not kept and name in present else None

        return find_changes(files, look, journal, identify)


def match_labels(
    mos: Mapping[str, float], names: Iterable[str]
) -> tuple[dict[str, float], set[str]]:
    """Return MOS by clip file name (labels may lack the suffix), and the clip files.

    Raises:
        InputError: Two labels name one clip.
    """
    present = set(names)
    other = {label for label in mos if label not in present}
    stems = ((Path(name).stem, name) for name in sorted(present)) if other else ()
    by_stem = {stem: name for stem, name in stems if stem in other}
    matched: dict[str, float] = {}
    for label, value in mos.items():
        name = label if label in present else by_stem.get(label, label)
        if name in matched:
            raise InputError(
                f"scores CSV: two rows name the clip {name}, with and without suffix: remove one"
            )
        matched[name] = value
    return matched, present


def wanted_clips(
    mos: Mapping[str, float], present: Collection[str], done: Collection[str], clips: ClipFolder
) -> list[str]:
    """Return the clips that have a label and either a file or a row.

    Raises:
        InputError: There are none.
    """
    wanted = sorted(name for name in mos if name in present or name in done)
    if not wanted:
        raise InputError(
            f"none of the {len(mos)} labels names a clip: labelled are {sorted(mos)[:3]}, and "
            f"{clips.describe()}"
        )
    if not present:
        logger.warning("Only rows of earlier runs are used: %s", clips.describe())
    return wanted


def clip_parts(wanted: Sequence[str], mos: Mapping[str, float]) -> list[pa.Table]:
    """Return names and MOS of clips in parts, each of which a merge has in memory at a time."""
    return [
        pa.table({
            "clip_name": pa.array(names, pa.string()),
            "mos": pa.array([mos[name] for name in names], pa.float64()),
        })
        for start in range(0, len(wanted), CLIPS_PER_PART)
        for names in [wanted[start : start + CLIPS_PER_PART]]
    ]  # fmt: skip


def announce(journal: Journal, plan: ExtractionPlan, extract: ExtractParameters) -> None:
    """Write down in the journal, and log, what the run is to do."""
    clipwise.announce(
        journal,
        plan,
        wanted=plan.wanted,
        due=plan.due,
        flush_every=extract.flush_every,
    )
    logger.info(
        "%s with a label: %d done, %d due; %s without a label, %s without a clip",
        counted(plan.wanted, "clip"), plan.done_before, plan.due,
        counted(len(plan.clips_without_label), "clip"),
        counted(len(plan.labels_without_clip), "label"),
    )  # fmt: skip


def _accepted_fingerprints(
    journal: Journal, key: str, scoring: Mapping[str, Any], extract: ExtractParameters
) -> set[str]:
    scorings = journal.scorings()
    known = set(scorings) - {key}
    if extract.legacy == "ignore":
        known -= legacy.FINGERPRINTS
    if extract.on_engine_change == "mix":
        return known
    equal = of_one_class({other: scorings[other] for other in known}, key, scoring)
    older = known & legacy.FINGERPRINTS
    if not older:
        return equal
    logger.warning(
        "Rows of the older script are used beside this run's; their engine is unknown and may "
        "differ in cambi. extract.legacy=ignore scores those clips anew"
    )
    return equal | older


def _look_for_lost_rows(
    journal: Journal,
    progress: Progress,
    left: Collection[str],
    damage: Damage,
    extract: ExtractParameters,
) -> None:
    """Refuse a ``.done`` of the older script that lists clips without a row.

    Where a run of this package has scored clips, or a line is damaged, such clips are scored
    again.
    """
    checkpoint = legacy.LegacyFiles(journal.output)
    if is_superseded(checkpoint, extract):
        return
    done = checkpoint.done()
    missing = [name for name in done if not progress.has_row(name) and name not in left]
    if not missing or damage.broken:
        return
    found = (
        f"{checkpoint.done_path} lists {len(done)} clips, but {len(missing)} of them have no row "
        f"in the parquet, the staging file or the journal {journal.folder} (such as "
        f"{', '.join(missing[:_NAMED])})"
    )
    if not journal.has_own_rows():
        raise LostRowsError(f"{found}. {_ways_on(checkpoint)}")
    logger.warning("%s. The clips of these are scored again", found)


def _ways_on(checkpoint: legacy.LegacyFiles) -> str:
    name = checkpoint.output.name
    kept = sorted(path.name for path in checkpoint.output.parent.glob(f"{name}.damaged-*"))
    damaged = f"A damaged parquet is kept as {kept[-1]}. " if kept else ""
    return (
        f"{damaged}If you have a copy of the lost file, put it back. To score these clips again, "
        f"remove their lines from {checkpoint.done_path.name}, or the whole file. Then run the "
        "same command again"
    )
