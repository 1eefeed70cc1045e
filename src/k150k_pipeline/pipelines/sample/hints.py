"""What a user is told at the end of a run on the sample."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from k150k_pipeline.pipelines.sample.nodes import LABEL_WITHOUT_CLIP, RECIPES, clip_name

NEXT = (
    ("extract-status --env=sample", "how far the runs are"),
    ("run --env=sample --pipelines=mos_head", "a MOS model of these clips, and its verdict"),
    (
        "run --env=sample --pipelines=fr_from_nr --params fr_from_nr.limit=2",
        "two clips at five CRFs",
    ),
)
"""Commands to try after the sample was made, and what each shows."""

SAMPLE_REPORT = "k150ka_page"
"""Dataset of the report page that counts the faults of the sample."""

_PROGRAMS = ("kedro", "k150k")
_MODULES = ("kedro", "k150k_pipeline")


def describe_sample(report: Path, argv: Sequence[str] | None = None) -> str:
    """Return that the faults of the sample are deliberate, where its report is, and what to try.

    Args:
        report: The report page of the run.
        argv: Command line of the run, that of this process by default; its program is named.
    """
    cut = next(number for number, recipe in enumerate(RECIPES, start=1) if recipe.cut)
    program = _program((argv or sys.argv)[0])
    lines = [
        f"The sample has two faults on purpose: {clip_name(cut)} is cut off in the middle,",
        f"  and {LABEL_WITHOUT_CLIP} has a label and no clip. Both are counted in the report,",
        "  which a browser opens:",
        f"  {report}",
        "Try next:",
        *(f"  {program} {command}   # {shows}" for command, shows in NEXT),
    ]
    return "\n".join(lines)


def _program(called: str) -> str:
    """Return how the program of a run can be called again."""
    path = Path(called)
    if path.name == "__main__.py" and path.parent.name in _MODULES:
        return f"python -m {path.parent.name}"
    return called if path.name in _PROGRAMS else _PROGRAMS[0]
