from __future__ import annotations

import inspect
import json
import pickle

import pandas as pd
import pyarrow as pa
import pytest
from kedro.io import DatasetError
from kedro_datasets import json as json_datasets
from kedro_datasets import pandas, plotly
from plotly import graph_objects

from k150k_pipeline.datasets import (
    AtomicCSVDataset,
    AtomicJSONDataset,
    AtomicJSONLinesDataset,
    AtomicParquetDataset,
    AtomicPlotlyDataset,
    ClipFolderDataset,
    DataCardDataset,
    FolderDataset,
    JournalDataset,
    ModelSetDataset,
    ReportCSVDataset,
)
from k150k_pipeline.errors import InputError


def test_parquet_keeps_metadata_and_bytes(tmp_path):
    table = pa.table({"a": [1.5, 2.5]}).replace_schema_metadata({b"k": b"v"})
    paths = [tmp_path / name for name in ("x/1.parquet", "x/2.parquet")]
    for path in paths:
        AtomicParquetDataset(filepath=str(path)).save(table)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    dataset = AtomicParquetDataset(filepath=str(paths[0]))
    assert dataset.load()["a"].tolist() == [1.5, 2.5]
    assert dataset.preview(nrows=1)["data"] == [[1.5]]
    assert pa.parquet.read_schema(paths[0]).metadata[b"k"] == b"v"


def test_csv_guesses_nothing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfname,score\r\nNA,01\r\n,3.0\r\n")
    frame = AtomicCSVDataset(filepath=str(path)).load()
    assert frame.to_dict("list") == {"name": ["NA", ""], "score": ["01", "3.0"]}


@pytest.mark.parametrize("content", [None, b"", b"a,b\n1,2,3\n4,5,6,7\n"])
def test_csv_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "scores.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"scores\.csv"):
        AtomicCSVDataset(filepath=str(path)).load()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff20"])
def test_text_that_a_spreadsheet_would_execute_is_quoted_and_read_back(tmp_path, start):
    path = tmp_path / "failures.csv"
    names = [
        f"a{start}=1",
        f"{start}cmd|'/c calc'!A0.mp4",
        f"'{start}x",
        f"''{start}x",
        "'plain",
        "",
    ]
    frame = pd.DataFrame({"clip_name": names, "attempts": range(-3, 3), "rest": [0.5, None] * 3})
    dataset = ReportCSVDataset(filepath=str(path))
    dataset.save(frame)
    cells = AtomicCSVDataset(filepath=str(path)).load()["clip_name"].tolist()
    assert cells == [names[0], *(f"'{name}" for name in names[1:4]), *names[4:]]
    assert dataset.load()["clip_name"].tolist() == names
    assert dataset.load()["attempts"].tolist() == [str(number) for number in range(-3, 3)]
    assert dataset.load().attrs["path"] == str(path)


def test_report_without_such_texts_has_the_bytes_of_any_csv(tmp_path):
    frame = pd.DataFrame(
        {"clip_name": ["a.mp4", "b,c.mp4", None], "given_up": [True, False, True], "n": [-1, 2, 3]}
    )
    paths = [tmp_path / name for name in ("a.csv", "b.csv")]
    for path, kind in zip(paths, (AtomicCSVDataset, ReportCSVDataset), strict=True):
        kind(filepath=str(path)).save(frame)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_json_round_trip(tmp_path):
    dataset = AtomicJSONDataset(filepath=str(tmp_path / "a.json"))
    assert not dataset.exists()
    dataset.save({"näme": [1, None, 0.1]})
    assert dataset.load() == {"näme": [1, None, 0.1]}
    assert json.loads(dataset.preview()) == dataset.load()


def test_clip_folder_lists_clips_alone(tmp_path):
    for name in ("b.mp4", "a.MP4", "c.mov", ".d.mp4"):
        (tmp_path / name).touch()
    folder = ClipFolderDataset(path=str(tmp_path)).load()
    assert folder.names() == ["a.MP4", "b.mp4"]


def test_missing_clip_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nope does not exist"):
        ClipFolderDataset(path=str(tmp_path / "nope")).load().names()


def test_clip_folder_makes_only_what_is_missing(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"old")
    dataset = ClipFolderDataset(path=str(tmp_path))
    dataset.save({n: lambda path: path.write_bytes(b"new") for n in ("a.mp4", "b.mp4")})
    assert (tmp_path / "a.mp4").read_bytes() == b"old"
    assert (tmp_path / "b.mp4").read_bytes() == b"new"


def test_journal_is_appended_to_and_never_saved(tmp_path):
    dataset = JournalDataset(path=str(tmp_path), output={"filepath": str(tmp_path / "o.parquet")})
    assert dataset.load().output == tmp_path / "o.parquet"
    with pytest.raises(DatasetError, match="append lines"):
        dataset.save(pd.DataFrame())


@pytest.mark.parametrize(
    ("ours", "public"),
    [
        (AtomicCSVDataset, pandas.CSVDataset),
        (AtomicParquetDataset, pandas.ParquetDataset),
        (AtomicJSONLinesDataset, pandas.JSONDataset),
        (AtomicJSONDataset, json_datasets.JSONDataset),
        (ClipFolderDataset, json_datasets.JSONDataset),
        (FolderDataset, json_datasets.JSONDataset),
        (JournalDataset, json_datasets.JSONDataset),
        (ModelSetDataset, json_datasets.JSONDataset),
        (AtomicPlotlyDataset, plotly.JSONDataset),
    ],
)
def test_kedro_viz_recognises_each_preview_by_the_name_of_its_kind(ours, public):
    assert kind_of_preview(ours) == kind_of_preview(public)


def kind_of_preview(dataset: type) -> str:
    """Return what kedro-viz takes for the kind of a dataset's preview."""
    annotation = inspect.signature(dataset.preview).return_annotation
    return getattr(annotation, "__name__", str(annotation))


def test_figure_is_the_same_bytes_each_time_and_is_shown(tmp_path):
    figure = graph_objects.Figure(graph_objects.Scatter(x=[1, 2], y=[3, 4]))
    datasets = [
        AtomicPlotlyDataset(filepath=str(tmp_path / name / "report.json"), figure="line")
        for name in ("1", "2")
    ]
    for dataset in datasets:
        dataset.save(figure)
    assert datasets[0].path.read_bytes() == datasets[1].path.read_bytes()
    assert datasets[0].preview()["data"][0]["y"] == [3, 4]
    assert datasets[0].load() == figure


def test_datasets_travel_to_workers(tmp_path):
    path = str(tmp_path / "x")
    for dataset in (
        AtomicParquetDataset(filepath=path),
        ClipFolderDataset(path=path),
        JournalDataset(path=path, output={"filepath": path}),
    ):
        assert str(pickle.loads(pickle.dumps(dataset))) == str(dataset)


def test_a_data_card_is_beside_its_table_and_comes_back(tmp_path):
    card = DataCardDataset(filepath=str(tmp_path / "x/full.v2.parquet"))
    assert card.path == tmp_path / "x/full.v2.data_card.md"
    with pytest.raises(DatasetError, match=r"--pipelines=extract makes it"):
        card.load()
    for text in ("# a\n", "# b – ü\n"):
        card.save(text)
        assert card.load() == text
    assert [path.name for path in card.path.parent.iterdir()] == ["full.v2.data_card.md"]


@pytest.mark.parametrize(
    "mine", [b"# My notes\n", b"", b"\xff\xfe", b"<!-- Made by k150k-pipeline"]
)
def test_a_card_of_someone_else_is_kept(tmp_path, mine, caplog):
    card = DataCardDataset(filepath=str(tmp_path / "full.parquet"))
    card.path.write_bytes(mine)
    for text in ("# a\n", "# b\n"):
        card.save(text)
    assert card.load() == "# b\n"
    kept = sorted(tmp_path.glob("*.original*"))
    assert [path.read_bytes() for path in kept] == [mine]
    assert caplog.text.count("is kept as full.data_card.md.original") == 1


def test_a_card_that_is_not_text_is_named(tmp_path):
    card = DataCardDataset(filepath=str(tmp_path / "full.parquet"))
    card.path.write_bytes(b"\xff\xfe")
    with pytest.raises(DatasetError, match=r"full\.data_card\.md is not UTF-8"):
        card.load()


def test_a_card_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    card = DataCardDataset(filepath=str(tmp_path / "file/full.parquet"))
    with pytest.raises(DatasetError, match=r"/file cannot be written: File exists\. "):
        card.save("# a\n")
