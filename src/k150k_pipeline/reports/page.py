"""The page of a report: its parts, and their HTML with everything in one file.

The page loads nothing: style, scripts, figures and numbers are in the file. A content-security
policy refuses every request and every script that is not one of these two.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, ClassVar

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from k150k_pipeline.plural import counted

if TYPE_CHECKING:
    from plotly.graph_objects import Figure  # imported where a figure is made

logger = logging.getLogger(__name__)

Value = str | int | float | None
"""A cell of a table or the number of a tile; None and NaN are shown as a dash."""

Facts = Mapping[str, Any]
"""A JSON document; what of it JSON cannot hold, such as NaN, becomes null."""

_SHORT = 20

MADE = "<!-- Made by k150k-pipeline: a run of the same kind writes it anew. -->"
"""Second line of every page, by which a page of this package is known."""


@dataclass(frozen=True)
class Text:
    """A paragraph; ``strong`` makes it the answer that a reader looks for first."""

    text: str
    strong: bool = False
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Tile:
    """One number with its unit and a remark."""

    label: str
    value: Value
    unit: str = ""
    note: str = ""


@dataclass(frozen=True)
class Tiles:
    """Numbers beside each other."""

    tiles: Sequence[Tile]
    kind: ClassVar[str] = "tiles"


@dataclass(frozen=True)
class Sum:
    """A count and the counts that it is made of."""

    total: tuple[str, int]
    parts: Sequence[tuple[str, int]]
    kind: ClassVar[str] = "sum"

    @property
    def adds_up(self) -> bool:
        """Whether the parts are the total."""
        return self.total[1] == sum(count for _, count in self.parts)


@dataclass(frozen=True)
class Table:
    """A table with a caption; columns of numbers are aligned at the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]
    note: str = ""
    wide: bool = False
    kind: ClassVar[str] = "table"

    @property
    def numeric(self) -> list[bool]:
        """Whether each column has numbers only."""
        columns = zip(*self.rows, strict=True) if self.rows else [("none",)] * len(self.columns)
        return [not any(isinstance(cell, str) for cell in column) for column in columns]

    @property
    def short(self) -> bool:
        """Whether a printed page has room for the whole table."""
        return len(self.rows) <= _SHORT


@dataclass(frozen=True)
class Drawing:
    """A figure with one sentence that says how to read it.

    Attributes:
        name: Name of the figure, unique on the page.
        title: What it shows.
        how: How to read it.
        figure: The figure.
        wide: Whether it takes the whole width.
    """

    name: str
    title: str
    how: str
    figure: Figure
    wide: bool = False
    kind: ClassVar[str] = "drawing"


Block = Text | Tiles | Sum | Table | Drawing


@dataclass(frozen=True)
class Section:
    """A heading and what is below it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: Title of the page.
        subtitle: What made it, and when.
        sections: The sections in order.
        facts: The numbers that the page is made from, such as the report JSON, embedded as they
            are.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]
    facts: Facts = field(default_factory=dict)

    def figures(self) -> dict[str, Figure]:
        """Return the figures by name."""
        blocks = (block for section in self.sections for block in section.blocks)
        return {block.name: block.figure for block in blocks if isinstance(block, Drawing)}

    def drawn(self, names: Sequence[str]) -> list[Figure]:
        """Return the figures of these names; one whose section cannot be made says so."""
        from k150k_pipeline.reports.figures import empty_figure

        missing, found = empty_figure("This figure cannot be drawn."), self.figures()
        return [found.get(name, missing) for name in names]


def page_of_run(
    title: str, pipeline: str, report: Facts, parts: Mapping[str, Callable[[], Iterable[Block]]]
) -> Page:
    """Return the page of a run over clips; a part that cannot be made says so.

    Args:
        title: Title of the page.
        pipeline: Name of the pipeline.
        report: Report of the run, which the page embeds.
        parts: What makes the blocks of each section, by its heading.
    """
    finished = datetime.fromtimestamp(report["finished_at"], UTC)
    return Page(
        title,
        f"{pipeline}, finished {finished:%Y-%m-%d %H:%M} UTC, {report['package']}",
        [attempted(heading, make) for heading, make in parts.items()],
        {"report": shortened(report)},
    )


def parameters_table(blocks: Mapping[str, Facts]) -> Table:
    """Return the table of a run's parameters, by the names that ``--params`` takes.

    Args:
        blocks: Parameter blocks by name.
    """
    return Table("Parameters", ["Parameter", "Value"], list(_flat(blocks)))


def _flat(values: Facts, prefix: str = "") -> Iterator[list[Value]]:
    """Yield the path of each parameter, and its value as YAML has it."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(_finite(value))
            yield [f"{prefix}{name}", text]


def of_tried(report: Facts) -> str:
    """Return how many clips of a run failed, in words."""
    failed = report["counts"]["failed"]
    if not failed:
        return "no clip failed"
    rate = f"{100 * report['failure_rate']:.3g} %"
    return f"{counted(failed, 'clip')} failed ({rate} of those tried)"


def attempted(title: str, make: Callable[[], Iterable[Block]]) -> Section:
    """Return a section; one that cannot be made says so, as a run must not fail because of it.

    Args:
        title: Heading of the section.
        make: Returns its blocks.
    """
    try:
        return Section(title, list(make()))
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        logger.warning("The part %r of the report cannot be drawn (%s)", title, what)
        logger.debug("The part %r of the report", title, exc_info=True)
        return Section(title, [Text(f"This part cannot be drawn ({what}): please report this.")])


def published(
    title: str, make: Callable[[], Page], names: Sequence[str]
) -> tuple[str, list[Figure]]:
    """Return the HTML of a page and its figures; what cannot be made says so and raises nothing.

    Args:
        title: Title of the page if it cannot be made.
        make: Returns the page.
        names: Names of its figures, in order.
    """
    try:
        page = make()
        return render(page), page.drawn(names)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        logger.warning("The report page %r cannot be drawn (%s)", title, what)
        why = Text(f"This page cannot be drawn ({what}): please report this. Nothing else is lost.")
        page = Page(title, "", [Section("No report", [why])])
        return render(page), page.drawn(names)


def render(page: Page) -> str:
    """Return the HTML of a page; the same page gives the same text.

    All numbers are once more in the element ``data``, a JSON document with the keys ``facts``,
    ``figures`` (by name, in plotly's form) and ``templates``.
    """
    from k150k_pipeline.reports.figures import DARK, LIGHT

    figures = {
        name: json.loads(figure.to_json(engine="json")) for name, figure in page.figures().items()
    }
    templates = {"light": LIGHT, "dark": DARK}
    data = {"facts": page.facts, "figures": figures, "templates": templates}
    scripts = {"plotly": _plotly(), "page": _read("page.js")}
    html = _template().render(
        page=page,
        made=MADE,
        style=_read("page.css"),
        scripts=scripts,
        digests=[_digest(script) for script in scripts.values()],
        data=_as_json(data),
    )
    return html.encode("utf-8", "backslashreplace").decode()  # of names that are not UTF-8


def shown(value: Value) -> str:
    """Return a value as text: thousands separated, four digits of a fraction."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def shortened(report: Facts, most: int = 50) -> dict[str, Any]:
    """Return a report with at most so many items of each list; its counts have them all."""
    return {
        key: value[:most] if isinstance(value, list) else value for key, value in report.items()
    }


def duration(seconds: float) -> tuple[float, str]:
    """Return a time as a number and its unit: seconds, minutes or hours."""
    if seconds >= 2 * 3600:
        return seconds / 3600, "hours"
    return (seconds / 60, "minutes") if seconds >= 180 else (seconds, "seconds")


def few(names: Sequence[str], most: int = 5) -> str:
    """Return the first names as text."""
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    return environment.get_template("page.html.j2")


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _plotly() -> str:
    script = resources.files("plotly").joinpath("package_data/plotly.min.js").read_text("utf-8")
    return script.replace("</script", "<\\/script")


def _digest(script: str) -> str:
    """Return the source expression of a script in a content-security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _as_json(data: Facts) -> str:
    """Return JSON that ends no element of HTML."""
    text = json.dumps(_finite(data), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _finite(value: Any) -> Any:
    """Return a document in which numbers that JSON does not have are null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
