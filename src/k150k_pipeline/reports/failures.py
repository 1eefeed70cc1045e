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

    by_count = dict(
        sorted(report["failures_by_reason"].items(), key=lambda item: (-item[1], item[0]))
    )
    yield Drawing(
        "failures", "Failures by reason",
        "Each bar is how many clips have no row for this reason; the failures table has them all.",
        figures.bars(by_count, "clips") if by_count else figures.empty_figure("No clip failed."),
    )  # fmt: skip
    rows = [[reason, n, few(failed.get(reason, []), _NAMED)] for reason, n in by_count.items()]
    yield Table("Failed clips", ["reason", "clips", "the first of them"], rows)
    lists = {what: report.get(key, []) for key, what in check.items()}
    found: list[list[Value]] = [
        [what, len(names), few(names, _NAMED)] for what, names in lists.items() if names
    ]
    yield Table("To check", ["what", "number", "the first of them"], found, wide=True)
