"""The summary of a run in the log: counts, speed, orphans and failures."""

from __future__ import annotations

from k150k_pipeline.pipelines.clipwise.results import Report

_NAMED = 3
_DOUBTFUL = "completeness_unknown"


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
        *_orphans(report),
        *_failures(report),
    ]
    return "\n".join(lines)


def _orphans(report: Report) -> list[str]:
    lines = []
    for what in (
        "labels_without_clip",
        "clips_without_label",
        "bad_labels",
        "changed_clips",
        _DOUBTFUL,
    ):
        if names := report.get(what):
            more = " …" if len(names) > _NAMED else ""
            shown = ", ".join(names[:_NAMED])
            lines.append(f"  {len(names)} {what.replace('_', ' ')}: {shown}{more}")
    return lines


def _failures(report: Report) -> list[str]:
    return [f"  failed: {n} x {reason}" for reason, n in report["failures_by_reason"].items()]
