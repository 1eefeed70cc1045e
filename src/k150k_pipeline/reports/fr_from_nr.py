"""The page of an FR corpus: its rate-distortion curves, and what is odd about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from k150k_pipeline.plural import counted, have
from k150k_pipeline.reports.curves import (
    QUANTILES,
    BdRate,
    Break,
    Fan,
    Sweeps,
    by_bitrate,
    by_crf,
    compare_ways,
    examples,
    rate_breaks,
    rates_by_crf,
    vmaf_breaks,
)
from k150k_pipeline.reports.failures import failed_clips
from k150k_pipeline.reports.page import (
    Block,
    Drawing,
    Facts,
    Page,
    Sum,
    Table,
    Text,
    Tile,
    Tiles,
    Value,
    few,
    of_tried,
    page_of_run,
    parameters_table,
)
from k150k_pipeline.schemas.fr import CAVEAT

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Scatter  # imported where a figure is made

FIGURES = ("vmaf_bitrate", "vmaf_crf", "examples", "bitrate_crf")
"""Names of the figures of the page."""

_LISTED = 20
_NAME = 48
_MOST_WAYS = 3
_MEDIAN, _LOW, _HIGH = 2, 0, 4
_LOG = {"type": "log", "dtick": "D2", "tickformat": ","}
_DASHES = ("solid", "dash", "dot")
_QUANTILE_NAMES = [f"{q:.0%}".replace("50%", "median").replace("%", " %") for q in QUANTILES]


@dataclass(frozen=True)
class Swept:
    """What a run of fr_from_nr has made, as its page needs it.

    Attributes:
        report: The report of the run.
        sweeps: The curves of the corpus.
        failed: First names of the clips that failed, by reason.
        parameters: Parameter blocks of the run by name.
    """

    report: Facts
    sweeps: Sweeps
    failed: Mapping[str, Sequence[str]]
    parameters: Facts


def fr_page(made: Swept) -> Page:
    """Return the page of an FR corpus; a part that cannot be made says so."""
    report = made.report
    parts = {
        "Clips": _clips,
        "Rate and distortion": _curves,
        "Breaks of order": _breaks,
        "Ways of encoding (BD-rate)": _ways,
        "Failures": _failures,
        "Engine and parameters": _origin,
    }
    return page_of_run(
        f"FR rows of {report['corpus']}",
        "fr_from_nr",
        report,
        {title: partial(part, made) for title, part in parts.items()},
    )


def _clips(made: Swept) -> Iterator[Block]:
    counts, sweeps = made.report["counts"], made.sweeps
    yield Text(
        f"{counts['rows']:,} of {counted(counts['wanted'], 'clip')} {have(counts['rows'])} rows, "
        f"{counts['fr_rows']:,} in all; {of_tried(made.report)}.",
        strong=True,
    )
    parts = [(name.replace("_", " "), counts[name]) for name in ("failed", "not_yet_tried")]
    yield Sum(("clips wanted", counts["wanted"]), [("with rows", counts["rows"]), *parts])
    before, new = counts["done_before"], counts["newly_finished"]
    yield Sum(
        ("clips with rows", counts["rows"]),
        [("from before", before), ("finished in this run", new)],
    )
    yield Tiles(
        [
            Tile("Rows read", len(sweeps.crf)),
            Tile("CRFs", ", ".join(map(str, np.unique(sweeps.crf).tolist())) or "none"),
            Tile("Ways of encoding", len(sweeps.ways), note=few(sweeps.ways, 2)),
            Tile("Rate of this run", made.report["clips_per_second"], "clips/s"),
        ]
    )
    yield Text(CAVEAT)


def _curves(made: Swept) -> Iterator[Block]:
    parts = _parts(made.sweeps)
    fan = "The line is the median over the clips, the band has half of them, bars 9 of 10, "
    yield Drawing(
        "vmaf_bitrate",
        "VMAF and bitrate",
        f"{fan}and a clip counts between its lowest and its highest bitrate only, so the clips "
        "that need most bits are at the right.",
        _fans({way: by_bitrate(part) for way, part in parts.items()}, "bitrate (kbit/s)", log=True),
    )
    yield Drawing(
        "vmaf_crf",
        "VMAF and CRF",
        f"{fan}and a band that widens to the right shows clips that a high CRF harms unequally.",
        _fans({way: by_crf(part) for way, part in parts.items()}, "CRF", log=False),
    )
    yield Drawing(
        "examples",
        "Curves of single clips",
        "From the clip that costs least bits to the dearest; each point is one CRF, and higher to "
        "the left is better.",
        _example_figure(made.sweeps),
    )
    yield Drawing(
        "bitrate_crf",
        "Bitrate and CRF",
        f"{fan}and the scale is logarithmic: a straight line is the same saving at every step.",
        _rate_figure(parts),
    )
    for way, part in parts.items():
        yield _quantile_table(way, part)


def _breaks(made: Swept) -> Iterator[Block]:
    sweeps = made.sweeps
    of_vmaf, of_rate = vmaf_breaks(sweeps), rate_breaks(sweeps)
    names = {step.clip for step in (*of_vmaf, *of_rate)}
    many = f"{len(names):,}" if names else "None"
    yield Text(
        f"{many} of {counted(len(sweeps.clips), 'clip')} {have(len(names) or 1)} "
        "a step to a higher CRF at which VMAF or the bitrate rises. A rise of some hundredths of "
        "VMAF is the noise of the encoder; a large one is worth a look at the clip."
    )
    yield _break_table("VMAF rises with the CRF", of_vmaf, "VMAF")
    yield _break_table("The bitrate rises with the CRF", of_rate, "kbit/s")


def _ways(made: Swept) -> Iterator[Block]:
    found = compare_ways(made.sweeps)
    if not found:
        ways = few(made.sweeps.ways) or "none"
        yield Text(
            f"All rows were encoded in one way ({ways}), so there is no second curve and no "
            "BD-rate. Rows of another encoder or preset in the same corpus would be compared here."
        )
        return
    yield Table(
        "Bitrate for the same VMAF",
        ["Way", "Against", "BD-rate, %", "95 % from", "To", "Of"],
        [_bd_row(rate) for rate in found],
        "By piecewise cubics (PCHIP) of the logarithm of the bitrate over VMAF; negative is less "
        "bitrate. Intervals are by resampling clips. The median curves of different clips differ "
        "by their clips too, not by the way of encoding alone.",
    )


def _failures(made: Swept) -> Iterator[Block]:
    yield failed_clips(made.report, made.failed)


def _origin(made: Swept) -> Iterator[Block]:
    yield Table(
        "Engine of this run",
        ["What", "Value"],
        [[key, str(value)] for key, value in made.report["scoring"].items()],
    )
    yield parameters_table(made.parameters)


def _parts(sweeps: Sweeps) -> dict[str, Sweeps]:
    """Return the curves of the ways with the most rows, by way."""
    rows = np.bincount(sweeps.way, minlength=len(sweeps.ways))
    most = np.argsort(-rows, kind="stable")[:_MOST_WAYS].tolist()
    return {sweeps.ways[way]: sweeps.of_way(way) for way in most}


def _fans(fans: Mapping[str, Fan], x: str, *, log: bool) -> Figure:
    from k150k_pipeline.reports import figures

    if not any(len(fan.at) for fan in fans.values()):
        return figures.empty_figure("There is no row to show.")
    # The medians come first, as colours are given in the order of the traces.
    traces = [
        _median(way, fan, dash) for (way, fan), dash in zip(fans.items(), _DASHES, strict=False)
    ]
    traces += [trace for way, fan in fans.items() for trace in _band(way, fan)]
    figure = figures.new_figure(*traces, x=x, y="VMAF")
    figure.update_xaxes(**(_LOG if log else {}))
    return figure


def _median(way: str, fan: Fan, dash: str) -> Scatter:
    """Return the median of a fan, over its band, with bars from 5 % to 95 %."""
    from plotly import graph_objects as go

    from k150k_pipeline.reports.figures import numbers, plain

    name = plain(way)
    return go.Scatter(
        x=numbers(fan.at),
        y=numbers(fan.vmaf[_MEDIAN]),
        customdata=np.column_stack([fan.clips, fan.vmaf[_LOW], fan.vmaf[_HIGH]]).tolist(),
        mode="lines+markers",
        line={"dash": dash, "width": 3},
        error_y={
            "type": "data", "symmetric": False, "thickness": 1, "width": 3,
            "array": numbers(fan.vmaf[_HIGH] - fan.vmaf[_MEDIAN]),
            "arrayminus": numbers(fan.vmaf[_MEDIAN] - fan.vmaf[_LOW]),
        },
        name=f"{name}, median",
        legendgroup=name,
        zorder=1,
        hovertemplate=(
            "%{x:.4g}: median %{y:.2f}, 5 % to 95 %: %{customdata[1]:.2f} to %{customdata[2]:.2f}, "
            "%{customdata[0]:,} clips<extra></extra>"
        ),
    )  # fmt: skip


def _band(way: str, fan: Fan) -> list[Scatter]:
    """Return the band of a fan; its first trace is invisible and ends the band."""
    from plotly import graph_objects as go

    from k150k_pipeline.reports.figures import numbers, plain

    name = plain(way)
    shared = {
        "x": numbers(fan.at), "mode": "lines", "line": {"width": 0},
        "legendgroup": name, "hoverinfo": "skip",
    }  # fmt: skip
    low = go.Scatter(**shared, y=numbers(fan.vmaf[1]), showlegend=False)
    high = go.Scatter(
        **shared,
        y=numbers(fan.vmaf[3]),
        fill="tonexty",
        fillcolor="rgba(128,136,144,0.35)",
        name=f"{name}, 25 % to 75 %",
    )
    return [low, high]


def _example_figure(sweeps: Sweeps) -> Figure:
    from plotly import graph_objects as go

    from k150k_pipeline.reports.figures import empty_figure, new_figure, numbers, plain

    curves = examples(sweeps)
    if not curves:
        return empty_figure("There is no row to show.")
    symbols = ("circle", "diamond", "square", "cross", "x")
    traces = [
        go.Scatter(
            x=numbers(sweeps.kbps[points]),
            y=numbers(sweeps.vmaf[points]),
            text=[f"CRF {crf}" for crf in sweeps.crf[points].tolist()],
            mode="lines+markers",
            marker={"size": 8, "symbol": symbol},
            name=plain(_short(sweeps.clips[sweeps.clip[points.start]])),
            hovertemplate="%{text}: %{x:.4g} kbit/s, VMAF %{y:.2f}<extra></extra>",
        )
        for points, symbol in zip(curves, symbols, strict=False)
    ]
    figure = new_figure(*traces, x="bitrate (kbit/s)", y="VMAF", height=420)
    figure.update_xaxes(**_LOG)
    return figure


def _rate_figure(parts: Mapping[str, Sweeps]) -> Figure:
    fans = {
        way: Fan(np.unique(part.crf).astype(float), by_crf(part).clips, rates_by_crf(part))
        for way, part in parts.items()
    }
    figure = _fans(fans, "CRF", log=False)
    if any(len(fan.at) for fan in fans.values()):
        figure.update_yaxes(title_text="bitrate (kbit/s)", **_LOG)
    return figure


def _quantile_table(way: str, part: Sweeps) -> Table:
    fan, rates = by_crf(part), rates_by_crf(part)
    rows: list[list[Value]] = [
        [
            str(int(crf)),
            int(clips),
            *(float(v) for v in fan.vmaf[[_LOW, _MEDIAN, _HIGH], place]),
            *(float(v) for v in rates[[_LOW, _MEDIAN, _HIGH], place]),
        ]
        for place, (crf, clips) in enumerate(zip(fan.at, fan.clips, strict=True))
    ]
    shown = [_QUANTILE_NAMES[i] for i in (_LOW, _MEDIAN, _HIGH)]
    columns = ["CRF", "Clips", *(f"VMAF {q}" for q in shown), *(f"kbit/s {q}" for q in shown)]
    return Table(f"Quantiles over clips: {way}", columns, rows, wide=True)


def _break_table(title: str, found: Sequence[Break], unit: str) -> Table:
    rows: list[list[Value]] = [
        [step.clip, f"{step.crf} to {step.next_crf}", step.before, step.after, step.rise]
        for step in found[:_LISTED]
    ]
    clips = len({step.clip for step in found})
    return Table(
        title,
        ["Clip", "CRF", f"From, {unit}", f"To, {unit}", f"Rise, {unit}"],
        rows,
        f"{counted(len(found), 'step')} of {counted(clips, 'clip')}; "
        f"{'the largest are' if len(found) > len(rows) else 'all are'} listed."
        if found
        else "",
        wide=True,
    )


def _bd_row(rate: BdRate) -> list[Value]:
    of = f"{rate.clips:,} clips in both ways" if rate.clips else "median curves, different clips"
    return [rate.way, rate.against, rate.percent, rate.low, rate.high, of]


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
