"""Enrichment: what is joined, what is kept, and that doing it twice changes nothing."""

from __future__ import annotations

import json
import random

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from k150k_pipeline.datasets import FeaturesDataset
from k150k_pipeline.errors import InputError
from k150k_pipeline.pipelines.enrich.nodes import enrich
from k150k_pipeline.pipelines.feature_extraction import outputs
from k150k_pipeline.schemas.features import COLUMNS, VALUE_COLUMNS
from k150k_pipeline.schemas.mos_parameters import EnrichParameters
from k150k_pipeline.schemas.parameters import ExtractParameters
from k150k_pipeline.schemas.sidecar import split_of

NAMES = [f"beach#{i}.mp4" for i in range(6)]


def features(names=NAMES) -> pa.Table:
    values = np.random.default_rng(1).normal(size=(len(names), len(VALUE_COLUMNS)))
    columns = {"clip_name": names, "mos": [3.2] * len(names)}
    columns |= {"width": [960] * len(names), "height": [540] * len(names)}
    columns |= dict(zip(VALUE_COLUMNS, values.T, strict=True))
    return pa.table({c: columns[c] for c in COLUMNS}).replace_schema_metadata({b"k150k": b"{}"})


def rows(names=NAMES) -> list[dict]:
    return [
        {
            "src": f"clips/{name}",
            "chug_content_name": f"content {i % 3}",
            "chug_bitladder": f"{360 * (1 + i)}p_0.2M_",
            "mos_raw_0_100": 10.0 * i,
            "chug_bit_depth": 10,
            "chug_framerate_manifest": 29.97 if i else 30,
            "chug_orientation": "landscape",
        }
        for i, name in enumerate(names)
    ]


@pytest.fixture
def write(tmp_path):
    def write(sidecar: list[dict]):
        path = tmp_path / "sidecar.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in sidecar))
        return path

    return write


def test_matched_and_missing_are_counted_and_types_are_kept(write, caplog):
    block = EnrichParameters(
        metadata_jsonl=write(rows()[:4]),
        columns=("chug_bit_depth", "chug_framerate_manifest", "chug_orientation"),
    )
    with caplog.at_level("INFO", logger="k150k_pipeline"):
        table, summary = enrich(features(), block)
    assert json.loads(caplog.messages[0]) == summary
    assert (summary["rows"], summary["matched"], summary["missing"]) == (6, 4, 2)
    assert summary["cells_filled"]["content_id"] == 4
    assert table.column_names[:48] == list(COLUMNS)
    assert table.column_names[48:] == [
        "content_id", "bitrate_ladder_id", "mos_raw_0_100", "split", "chug_split_key",
        "chug_split_policy", "chug_bit_depth", "chug_framerate_manifest", "chug_orientation",
    ]  # fmt: skip
    kinds = [table[c].type for c in table.column_names[-3:]]
    assert kinds == [pa.int64(), pa.float64(), pa.string()]
    assert table["split"].to_pylist()[:3] == [split_of(f"content {i}") for i in range(3)]
    assert table["content_id"].to_pylist()[4:] == [None, None]
    assert table.schema.metadata == {b"k150k": b"{}"}


def test_only_missing_cells_are_filled_unless_overwrite(write):
    mine = features().append_column("content_id", pa.array(["mine", None, *[""] * 4]))
    block = EnrichParameters(metadata_jsonl=write(rows()))
    kept, summary = enrich(mine, block)
    assert kept["content_id"].to_pylist() == ["mine", "content 1", *[""] * 4]
    assert summary["cells_filled"]["content_id"] == 1
    assert summary["cells_kept_though_different"]["content_id"] == 5
    block = block.model_copy(update={"overwrite": True})
    won, summary = enrich(mine, block)
    assert won["content_id"].to_pylist() == [f"content {i % 3}" for i in range(6)]
    assert summary["cells_replaced"]["content_id"] == 5


def test_overwrite_never_empties_a_cell(write):
    mine = features().append_column("content_id", pa.array(["mine"] * 6))
    block = EnrichParameters(metadata_jsonl=write([{"src": NAMES[0]}]), overwrite=True)
    assert enrich(mine, block)[0]["content_id"].to_pylist() == ["mine"] * 6


def test_nan_and_untyped_columns_count_as_missing(write):
    mine = features().append_column("mos_raw_0_100", pa.array([np.nan] * 6))
    mine = mine.append_column("split", pa.nulls(6))
    table, _ = enrich(mine, EnrichParameters(metadata_jsonl=write(rows())))
    assert table["mos_raw_0_100"].to_pylist() == [10.0 * i for i in range(6)]
    assert None not in table["split"].to_pylist()


@pytest.mark.parametrize("overwrite", [False, True])
def test_twice_is_once_to_the_last_byte(write, tmp_path, overwrite):
    path = tmp_path / "features.parquet"
    features().to_pandas().to_parquet(path, compression="snappy", row_group_size=2)
    dataset = FeaturesDataset(filepath=str(path))
    block = EnrichParameters(
        metadata_jsonl=write(rows()), columns=("chug_bit_depth",), overwrite=overwrite
    )
    contents = []
    for _ in range(3):
        dataset.save(enrich(dataset.load(), block)[0])
        contents.append(path.read_bytes())
    assert contents[0] == contents[1] == contents[2]
    assert pd.read_parquet(path)["chug_bit_depth"].tolist() == [10] * 6


def test_order_of_rows_and_columns_of_the_sidecar_changes_nothing(write):
    block = EnrichParameters(
        metadata_jsonl=write(rows()), columns=("chug_framerate_manifest", "chug_bit_depth")
    )
    first, _ = enrich(features(), block)
    shuffled = rows()
    random.Random(4).shuffle(shuffled)
    assert shuffled != rows()
    write([dict(sorted(row.items(), reverse=True)) for row in shuffled])
    second, _ = enrich(features(), block)
    assert first.equals(second, check_metadata=True)


def test_extract_joins_the_same(write):
    path, columns = write(rows()[:5]), ("chug_bit_depth", "chug_orientation")
    extract = ExtractParameters(metadata_jsonl=path, metadata_columns=columns)
    during = outputs.join_sidecar(features(), outputs.load_sidecar(extract), extract)
    after, _ = enrich(features(), EnrichParameters(metadata_jsonl=path, columns=columns))
    assert during.equals(after, check_metadata=True) and during.num_columns == 48 + 8


def test_content_in_two_splits_is_named(write):
    sidecar = rows()
    sidecar[0]["split"] = "test"
    sidecar[3]["split"] = "train"
    _, summary = enrich(features(), EnrichParameters(metadata_jsonl=write(sidecar)))
    assert summary["contents_in_several_splits"] == ["content 0"]


@pytest.mark.parametrize(
    ("sidecar", "columns", "message"),
    [
        (rows(), ("nope",), "no row has the declared column 'nope'"),
        (rows(), ("mos",), "'mos' is one of the table's own and cannot be declared"),
        ([{"src": "a", "x": 1}, {"src": "b", "x": "1"}], ("x",), "'x' has values of several types"),
        ([{"src": "a", "x": [1]}], ("x",), r"(?s)line 1: .*x: \[1\] is not a text"),
        ([{"nothing": 1}], (), "line 1: the row has neither src nor filename"),
    ],
)
def test_bad_sidecars_are_refused(write, sidecar, columns, message):
    with pytest.raises(InputError, match=message):
        enrich(features(), EnrichParameters(metadata_jsonl=write(sidecar), columns=columns))


def test_values_that_do_not_fit_the_column_are_refused(write):
    mine = features().append_column("content_id", pa.array([1, None, *[2] * 4]))
    with pytest.raises(InputError, match="'content_id' of the features table is of type int64"):
        enrich(mine, EnrichParameters(metadata_jsonl=write(rows())))


def test_no_sidecar_named():
    with pytest.raises(InputError, match=r"enrich\.metadata_jsonl=FILE"):
        enrich(features(), EnrichParameters())


def test_by_the_command_line(project, write):
    project.features = project.features.with_name("full_features_konvid_150k.parquet")
    project.features.parent.mkdir(parents=True)
    pq.write_table(features(), project.features)
    command = (
        "run",
        "--pipeline=enrich",
        f"--params=enrich.metadata_jsonl={write(rows()[:5])},enrich.columns=[chug_bit_depth]",
    )
    output = project.kedro(*command)
    (logged,) = [line for line in output.splitlines() if '"matched": ' in line]
    summary = json.loads(logged[logged.index("{") :])
    assert (summary["matched"], summary["missing"]) == (5, 1)
    once = project.features.read_bytes()
    project.kedro(*command)
    assert project.features.read_bytes() == once
    assert project.table()["chug_bit_depth"].tolist()[:5] == [10] * 5
    refused = project.kedro("run", "--pipelines=enrich", ok=False)
    assert "Error: enrich.metadata_jsonl names no sidecar" in refused
    assert "Traceback" not in refused
