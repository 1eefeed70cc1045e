"""The features table: how it is loaded, and the message if it does not exist."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from kedro.io import DatasetError

from k150k_pipeline.datasets import FeaturesDataset

COMMAND = "kedro run --pipelines=extract"


def message(path: Path, made_by: str | None = COMMAND) -> str:
    with pytest.raises(DatasetError) as error:
        FeaturesDataset(filepath=str(path), made_by=made_by).load()
    return str(error.value)


def save(path: Path) -> pa.Table:
    table = pa.table({"a": [1, None], "b": [1.5, None]}).replace_schema_metadata({b"k": b"v"})
    FeaturesDataset(filepath=str(path)).save(table)
    return table


def test_loaded_as_it_was_saved(tmp_path):
    path = tmp_path / "a.parquet"
    table = save(path)
    loaded = FeaturesDataset(filepath=str(path)).load()
    assert loaded.equals(table, check_metadata=True)
    before = path.read_bytes()
    FeaturesDataset(filepath=str(path)).save(loaded)
    assert path.read_bytes() == before


def test_missing_table_names_the_command_and_the_tables_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("x.parquet", "y.parquet"):
        save(tmp_path / "data" / name)
    refusal = message(tmp_path / "data/features.parquet")
    assert refusal == (
        f"data/features.parquet does not exist: make it with `{COMMAND}`, or take the table that "
        "is there with `--params features=data/x.parquet` (there is also data/y.parquet)"
    )


def test_a_path_is_given_as_the_command_line_takes_it(tmp_path, monkeypatch):
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    save(project / "x.parquet")
    (project / "pyproject.toml").write_text("[tool.kedro]\n")
    for folder in (project / "sub", elsewhere):
        folder.mkdir()
    monkeypatch.chdir(project / "sub")
    assert "`--params features=x.parquet`" in message(project / "features.parquet")
    monkeypatch.chdir(elsewhere)
    assert f"features={project}/x.parquet`" in message(project / "features.parquet")


def test_missing_table_in_an_empty_folder(tmp_path):
    assert message(tmp_path / "a.parquet").endswith(f"make it with `{COMMAND}`")
    assert message(tmp_path / "a.parquet", None).endswith("table with `--params features=…`")


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "a.parquet").write_text("a,b\n")
    assert "a.parquet is not a parquet file" in message(tmp_path / "a.parquet")
