"""The data card: every column with unit and range, and the same table gives the same text."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from k150k_pipeline.pipelines.feature_extraction.data_card import PAPER, data_card
from k150k_pipeline.pipelines.feature_extraction.outputs import Features
from k150k_pipeline.schemas.feature_notes import FEATURE_NOTES
from k150k_pipeline.schemas.features import COLUMNS, FEATURES, VALUE_COLUMNS
from tests.conftest import CHECKOUT

COUNTS = {"rows": 3, "wanted": 5, "failed": 2}
ENGINE = {"backend": "embedded", "engine": "ffmpeg-libvmaf", "version": "n9.9", "plan": "identity"}
Engines = dict[str, dict[str, Any]]


def table(rows: int = 3, engines: Engines | None = None, **columns: Any) -> Features:
    values = {c: pa.array(np.linspace(0.5, 1, rows)) for c in VALUE_COLUMNS}
    found = {"abc": {"rows": rows, **ENGINE}} if engines is None else engines
    metadata = {b"k150k": json.dumps({"rows_scored_with": found})}
    all_columns = {
        "clip_name": pa.array([f"{i}.mp4" for i in range(rows)], pa.string()),
        "mos": pa.array(np.linspace(1, 5, rows)),
        "width": pa.array([960] * rows, pa.int32()),
        "height": pa.array([540] * rows, pa.int32()),
        **values,
        **columns,
    }
    made = pa.table(all_columns).replace_schema_metadata(metadata)
    return Features(made.schema, [made])


def rows_of(card: str) -> dict[str, list[str]]:
    """Return the cells of the table of columns, by name."""
    lines = re.findall(r"^\| `(.+?)` \| (.*) \|$", card, re.MULTILINE)
    return {name: re.split(r" (?<!\\)\| ", cells) for name, cells in lines}


def test_every_column_has_a_line_of_seven_cells():
    rows = rows_of(data_card(table(), "k150ka", COUNTS))
    assert list(rows) == list(COLUMNS)
    assert {len(cells) for cells in rows.values()} == {6}
    assert rows["mos"] == ["double", "mean opinion score", "MOS", "1 to 5", "1 to 5", "0"]
    assert rows["width"][-2:] == ["960", "0"]
    assert rows["psnr_y_mean"][2:4] == ["dB", "0 to 72"]
    assert rows["psnr_y_std"][2:4] == ["dB", "from 0"]
    assert rows["motion_mean"][3:] == ["from 0", "0.5 to 1", "0"]


def test_nan_is_empty_and_not_an_end_of_a_range():
    nan = table(cambi_mean=pa.array([np.nan, 2.0, 7.25]), ciede2000_mean=pa.array([np.nan] * 3))
    rows = rows_of(data_card(nan, "k150ka", COUNTS))
    assert rows["cambi_mean"][-2:] == ["2 to 7.25", "1"]
    assert rows["ciede2000_mean"][-2:] == ["–", "3"]


def test_columns_of_a_sidecar_are_named_and_nulls_are_counted():
    odd = {
        "a|b\nc": pa.array(["x", None, None]),
        "flag": pa.array([True, None, False]),
        "n": pa.array([4, None, 9]),
        "empty": pa.array([None, None, None]),
    }
    rows = rows_of(data_card(table(**odd), "k150ka", COUNTS))
    assert rows["a\\|b c"] == ["string", "from the sidecar", "–", "–", "–", "2"]
    assert rows["flag"][-2:] == ["–", "1"]
    assert rows["n"][-2:] == ["4 to 9", "1"]
    assert rows["empty"][-1] == "3"


def test_counts_engines_licence_and_paper_are_there():
    engines = {
        "b": {"rows": 1, **ENGINE, "backend": "native"},
        "a": {"rows": 2, "older": "script"},
    }
    card = data_card(table(engines=engines), "konvid_1k", COUNTS)
    assert "# Features of konvid_1k" in card and "Of 5 clips with a label, 2 failed" in card
    assert card.index("fingerprint `a`") < card.index("fingerprint `b`")
    assert "native ffmpeg-libvmaf n9.9 (1 rows), plan `identity`" in card
    assert "research use only" in card and PAPER in card
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text("utf-8"))
    assert citation["references"][0]["doi"] == PAPER
    assert citation["license"] in card


def test_a_table_without_rows_has_a_card():
    card = data_card(table(0, {}), "k150ka", {"rows": 0, "wanted": 2, "failed": 2})
    assert rows_of(card)["mos"][-2:] == ["–", "0"] and "the table has no row" in card


def units_of_the_documentation() -> dict[str, str]:
    """Return the unit of each feature in the table of docs/files.md."""
    text = (CHECKOUT / "docs/files.md").read_text("utf-8")
    _, _, rest = text.partition("| Feature | Unit | Plan `identity` |")
    units = {}
    for names, unit in re.findall(
        r"^\| (`.+?) \| (.+?) \|", rest.partition("\n\n")[0], re.MULTILINE
    ):
        whole = re.sub(r"`(\w+)0`–`(\d)`", lambda m: spell(m[1], int(m[2])), names)
        units |= dict.fromkeys(re.findall(r"`(\w+)`", whole), unit)
    return units


def spell(stem: str, last: int) -> str:
    return ", ".join(f"`{stem}{number}`" for number in range(last + 1))


@pytest.mark.parametrize("feature", FEATURES)
def test_units_are_those_of_the_documentation(feature):
    assert units_of_the_documentation()[feature] == (FEATURE_NOTES[feature].unit or "–")
