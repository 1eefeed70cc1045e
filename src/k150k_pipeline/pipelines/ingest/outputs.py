"""Outputs of ingest, derived from the journal: corpus rows, failures, report, replay manifest."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from k150k_pipeline import __version__
from k150k_pipeline.damaged import set_aside
from k150k_pipeline.journal.due import Progress
from k150k_pipeline.journal.worker import Tally
from k150k_pipeline.media.facts import ClipFacts
from k150k_pipeline.media.hashing import hash_file
from k150k_pipeline.media.tools import ToolError, run_tool
from k150k_pipeline.pipelines.clipwise import (
    FAILURE_COLUMNS,
    Report,
    count_by,
    failures_table,
    first,
    to_check,
)
from k150k_pipeline.pipelines.ingest.plan import DropLabels, IngestPlan
from k150k_pipeline.pipelines.ingest.planning import Known
from k150k_pipeline.plural import counted
from k150k_pipeline.schemas.corpus import CorpusRow
from k150k_pipeline.schemas.ingest import IngestParameters
from k150k_pipeline.storage import in_words, place

_PACKAGES = ("aiohttp", "av", "kedro", "numpy", "pandas", "pydantic")
_NOT_PROBED = ClipFacts("", 0, 0, 0, 0, 0.0, 0.0, "", "")
_TIME_KEY = "ingested_at_utc"

Row = dict[str, Any]
"""A line of the corpus; :class:`CorpusRow` has its keys."""


def corpus_rows(
    labels: DropLabels,
    known: Known,
    earlier: Mapping[str, Row],
    ingest: IngestParameters,
) -> list[Row]:
    """Return one row of 15 keys per wanted clip whose facts are known, sorted by name.

    Args:
        labels: Labels of the drop.
        known: Facts by name; with ``ingest.probe=none`` all clips count as known.
        earlier: Rows of the earlier corpus by name; a row that is otherwise equal keeps its time.
        ingest: Block ``ingest``.
    """
    if ingest.probe == "none":
        now = time.time()
        known = dict.fromkeys(labels.rows, (_NOT_PROBED, now))
    return [
        _keep_time(_row(name, labels, *known[name], ingest), earlier.get(name))
        for name in labels.rows
        if name in known
    ]


def _row(
    name: str, labels: DropLabels, facts: ClipFacts, found_at: float, ingest: IngestParameters
) -> Row:
    label = labels.rows[name]
    return CorpusRow(
        src=name,
        src_sha256=facts.sha256,
        src_size_bytes=facts.size,
        width=facts.width,
        height=facts.height,
        framerate=facts.framerate,
        duration_s=facts.duration_s,
        pix_fmt=facts.pix_fmt,
        encoder_upstream=facts.codec,
        mos=label.mos,
        mos_std_dev=label.mos_std_dev,
        n_ratings=label.n_ratings,
        corpus=ingest.corpus,
        corpus_version=ingest.version,
        ingested_at_utc=datetime.fromtimestamp(found_at, UTC).isoformat(timespec="seconds"),
    ).model_dump()


def _keep_time(row: Row, before: Row | None) -> Row:
    if before is None or before != {**row, _TIME_KEY: before.get(_TIME_KEY)}:
        return row
    try:
        return CorpusRow.model_validate(before).model_dump()
    except ValidationError:  # its time is not a time
        return row


def doubtful_clips(rows: list[Row], known: Known) -> list[str]:
    """Return the clips of a corpus of which it is unknown whether they are whole."""
    names = (row["src"] for row in rows)
    return [name for name in names if name in known and known[name][0].doubt]


def failed_clips(
    labels: DropLabels,
    plan: IngestPlan,
    known: Known,
    progress: Progress,
    given_up: Mapping[str, str],
    ingest: IngestParameters,
) -> pd.DataFrame:
    """Return one row per wanted clip that was not downloaded or is broken, with its last reason.

    Args:
        labels: Labels of the drop.
        plan: Plan of the run.
        known: Facts by name.
        progress: The state of the clips in the journal.
        given_up: Reasons by name in the download-progress file, also those of earlier runs.
        ingest: Block ``ingest``.
    """
    missing = set(plan.labels_without_clip)
    wanted = () if ingest.probe == "none" else labels.rows
    left = [name for name in wanted if name not in known and name not in missing]
    journaled = failures_table(left, progress, sys.maxsize)
    not_journaled = given_up.keys() - set(journaled["clip_name"])
    further = [_failure_row(name, given_up[name]) for name in left if name in not_journaled]
    rows = [*journaled.to_dict("records"), *further]
    table = pd.DataFrame(rows, columns=list(FAILURE_COLUMNS))
    table["given_up"] = table["clip_name"].isin(list(given_up))
    return table.sort_values("clip_name", ignore_index=True)


def _failure_row(name: str, text: str) -> dict[str, str | int]:
    reason, _, detail = text.partition(": ")
    fields = {"stage": "download", "reason": reason, "detail": detail}
    return {"clip_name": name, **fields, "attempts": 1}


def report(
    labels: DropLabels,
    plan: IngestPlan,
    rows: list[Row],
    failures: pd.DataFrame,
    tally: Tally,
    ingest: IngestParameters,
) -> Report:
    """Return the report of a run; every label is in one of the counts."""
    finished_at = time.time()
    lost = int((failures["stage"] == "download").sum())
    with_url = sum(1 for label in labels.rows.values() if label.url)
    missing = len(plan.labels_without_clip)
    return {
        "corpus": ingest.corpus,
        "package": f"k150k-pipeline {__version__}",
        "layout": labels.layout,
        "probing": plan.scoring,
        "started_at": plan.started_at,
        "finished_at": finished_at,
        "clips_per_second": round(
            (tally.ok + tally.failed) / max(finished_at - plan.started_at, 1e-3), 3
        ),
        "counts": {
            "wanted": plan.wanted,
            "rows": len(rows),
            "done_before": plan.done_before,
            "newly_finished": tally.ok,
            "download_failed": lost,
            "broken_clips": len(failures) - lost,
            "killed": tally.killed,
            "labels_without_clip": missing,
            "not_yet_tried": plan.wanted - len(rows) - len(failures) - missing,
            "clips_without_label": len(plan.clips_without_label),
            "bad_rows": len(labels.problems),
            "repeated_rows": len(labels.repeated),
            "disagreements": len(labels.disagreements),
            "bad_votes": labels.bad_votes,
            "votes_without_label": labels.votes_without_label,
            "torn_lines": plan.torn_lines,
            "broken_lines": len(plan.broken_lines),
            "fsyncs": tally.syncs,
        },
        "attrition": lost / max(with_url, 1),
        "failures_by_reason": count_by(failures["stage"] + "/" + failures["reason"]),
        "same_content": same_content(rows),
        "labels_without_clip": plan.labels_without_clip,
        "clips_without_label": plan.clips_without_label,
        "bad_rows": labels.problems,
        "repeated_rows": labels.repeated,
        "disagreements": labels.disagreements,
        "vote_problems": labels.vote_problems,
        "broken_lines": plan.broken_lines,
    }


def same_content(rows: list[Row]) -> list[list[str]]:
    """Return groups of clips with equal bytes; each clip keeps its row and its label."""
    names = defaultdict(list)
    for row in rows:
        if row["src_sha256"]:
            names[row["src_sha256"]].append(row["src"])
    return [group for group in names.values() if len(group) > 1]


def summarise(report: Report, output: Path) -> str:
    """Return the summary line of the older script, and lines on what a person should check."""
    counts = report["counts"]
    lines = [
        (
            f"[{report['corpus']}-jsonl] wrote {counts['rows']} rows, skipped "
            f"{counts['download_failed']} (download-failed), {counts['broken_clips']} "
            f"(broken-clip), {counts['repeated_rows']} dedups -> {output}"
        ),
        *([f"  {counts['not_yet_tried']} not yet tried"] if counts["not_yet_tried"] else []),
        *(f"  {line}" for line in to_check(report)),
        *(f"  {n} x {reason}" for reason, n in report["failures_by_reason"].items()),
    ]
    if groups := [" = ".join(group) for group in report["same_content"]]:
        alike = counted(len(groups), "group of clips", "groups of clips")
        lines.append(f"  {alike} with equal bytes: {first(groups)}")
    if votes := counts["bad_votes"]:
        lines.append(f"  {counted(votes, 'vote')} left out: {first(report['vote_problems'])}")
    return "\n".join(lines)


def replay_manifest(
    labels: DropLabels, report: Report, output: Path, ingest: IngestParameters
) -> Report:
    """Return what is needed to make the corpus again, and to check that it is the same."""
    return {
        "output": {**_source(output), "rows": report["counts"]["rows"]},
        "sources": [_source(place(path)) for path in (*labels.tables, *labels.votes)],
        "clip_folders": labels.folders,
        "parameters": ingest.model_dump(mode="json"),
        "counts": report["counts"],
        "attrition": report["attrition"],
        "run_provenance": {
            "package": report["package"],
            "git_commit": _git_commit(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": {name: version(name) for name in _PACKAGES},
            "started_at": report["started_at"],
            "finished_at": report["finished_at"],
        },
    }


def _source(path: Path) -> dict[str, str | int]:
    return {"path": in_words(str(path)), "bytes": path.stat().st_size, "sha256": hash_file(path)}


def _git_commit() -> str | None:
    try:
        answer = run_tool(["git", "rev-parse", "HEAD"], timeout_s=10)
    except (OSError, ToolError):
        return None
    return answer.stdout.decode().strip() if answer.returncode == 0 else None


def read_corpus(path: Path) -> dict[str, Row]:
    """Return the rows of a corpus by name; empty if the file does not exist."""
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        return {row["src"]: row for row in map(_parse, file) if row}


def repair_corpus(path: Path) -> None:
    """Set a corpus aside if a line of it is no row; call this before it is replaced.

    Raises:
        OSError: The folder cannot be written.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        damaged = next((n for n, line in enumerate(file, start=1) if not _parse(line)), None)
    if damaged is not None:
        set_aside(path, f"line {damaged} is no row", "it is made again from the journal")


def _parse(line: bytes) -> Row:
    """Return the row in a line; empty if there is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) and isinstance(row.get("src"), str) else {}
