"""The part of a page that names failed clips and what a person should check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from k150k_pipeline.reports.page import Block, Drawing, Facts, Table, Value, few

_NAMED = 5


def failure_blocks(
    report: Facts, failed: Mapping[str, Sequence[str]], check: Mapping[str, str]
) -> Iterator[Block]:
    """Yield failures by reason, the first failed clips, and a table of what to check.

    Args:
        report: Report of the run.
        failed: First names of the failed clips, by reason.
        check: What each list of the report is, by its key; empty lists are left out.
    """
    from k150k_pipeline.reports import figures

    by_count = _by_count(report)
    yield Drawing(
        "failures", "Failures by reason",
        "Each bar is how many clips have no row for this reason; the failures table has them all.",
        figures.bars(by_count, "clips") if by_count else figures.empty_figure("No clip failed."),
    )  # fmt: skip
    yield failed_clips(report, failed)
    lists = {what: report.get(key, []) for key, what in check.items()}
    found: list[list[Value]] = [
        [what, len(names), few(names, _NAMED)] for what, names in lists.items() if names
    ]
    yield Table("To check", ["What", "Number", "The first of them"], found, wide=True)


def failed_clips(report: Facts, failed: Mapping[str, Sequence[str]]) -> Table:
    """Return the table of failures by reason, with the first failed clips.

    Args:
        report: Report of the run.
        failed: First names of the failed clips, by reason.
    """
    rows: list[list[Value]] = [
        [reason, n, few(failed.get(reason, []), _NAMED)] for reason, n in _by_count(report).items()
    ]
    return Table("Failed clips", ["Reason", "Clips", "The first of them"], rows)


def _by_count(report: Facts) -> dict[str, int]:
    counts: Mapping[str, int] = report["failures_by_reason"]
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
