"""The summary of a run in the log: counts, speed, orphans and failures."""

from __future__ import annotations

from collections.abc import Sequence

from k150k_pipeline.pipelines.clipwise.results import Report
from k150k_pipeline.plural import counted

_NAMED = 3
_NOUNS = {
    "labels_without_clip": ("label without clip", "labels without clip"),
    "clips_without_label": ("clip without label", "clips without label"),
    "bad_labels": ("bad label", None),
    "bad_rows": ("bad row", None),
    "disagreements": ("disagreement", None),
    "changed_clips": ("changed clip", None),
    "completeness_unknown": ("clip of unknown completeness", "clips of unknown completeness"),
}


def summarise(report: Report) -> str:
    """Return a summary of a run's report as a few lines of text."""
    counts = report["counts"]
    lines = [
        (
            f"{report['corpus']}: {counts['rows']} of {counts['wanted']} clips have a row "
            f"({counts['newly_finished']} new, {counts['done_before']} from before), "
            f"{counts['failed']} failed, {counts['not_yet_tried']} not yet tried; "
            f"{report['clips_per_second']:g} clips/s"
        ),
        *(f"  {line}" for line in to_check(report)),
        *_failures(report),
    ]
    return "\n".join(lines)


def to_check(report: Report) -> list[str]:
    """Return a line for each list of a report that a person should look at, with the first names.

    Args:
        report: The report; its names need not be UTF-8.
    """
    return [
        f"{counted(len(report[what]), *nouns)}: {first(report[what])}"
        for what, nouns in _NOUNS.items()
        if report.get(what)
    ]


def first(names: Sequence[str]) -> str:
    """Return the first names as text."""
    return "; ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")


def _failures(report: Report) -> list[str]:
    return [f"  failed: {n} x {reason}" for reason, n in report["failures_by_reason"].items()]
