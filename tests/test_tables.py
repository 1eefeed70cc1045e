"""Tables as spreadsheets, downloads and careless people leave them."""

from __future__ import annotations

import pytest
from kedro.io import DatasetError

from k150k_pipeline.datasets import AtomicCSVDataset
from k150k_pipeline.errors import InputError
from k150k_pipeline.tables import open_table

TABLE = "video_name,video_score\norig_0.mp4,1.5\nNA,01\n"
ROWS = {"video_name": ["orig_0.mp4", "NA"], "video_score": ["1.5", "01"]}


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode(),
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),
        b"\xfe\xff" + TABLE.encode("utf-16-be"),
        TABLE.replace(",", ";").encode(),
        TABLE.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
        f"\n{TABLE}\n\n".encode(),
        b'"video_name";"video_score"\n"orig_0.mp4";"1.5"\n"NA";"01"\n',
    ],
)
def test_what_can_be_read_without_doubt_is_read(tmp_path, content):
    path = tmp_path / "scores.csv"
    path.write_bytes(content)
    assert AtomicCSVDataset(filepath=str(path)).load().to_dict("list") == ROWS
    with open_table(path) as (header, rows):
        assert header == list(ROWS)
        assert [cells for _, cells in rows] == [
            list(row) for row in zip(*ROWS.values(), strict=True)
        ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"  <!DOCTYPE html>\n<html><body>Log in, please</body></html>", "is a web page"),
        (b"\xef\xbb\xbf<HTML>", "is a web page"),
        (b"PAR1\x15\x04\x15", "is a parquet file"),
        (b"PK\x03\x04\x14\x00", "is a spreadsheet"),
        (TABLE.encode("utf-16-le"), "is not a text file in UTF-8"),
        ("naïve,mos\n".encode("latin-1"), "is not a text file in UTF-8"),
        (TABLE.encode("utf-16")[:-1], "is not a text file in UTF-8"),
        (b"a,b;c\n1,2;3\n", "as many commas as semicolons"),
        (b"a,b\n1,2,3\n", "line 2: 3 cells in 2 columns"),
        (b'a,b\n1,"2\n', "cannot be read"),
        (None, "is a folder"),
    ],
)
def test_what_cannot_is_named_with_the_remedy(tmp_path, content, message):
    path = tmp_path / "scores.csv"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=message) as raised:
        AtomicCSVDataset(filepath=str(path)).load()
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"), open_table(tmp_path / "no.csv"):
        pass
    with pytest.raises(DatasetError, match=r"no\.csv does not exist: .* scores="):
        AtomicCSVDataset(filepath=str(tmp_path / "no.csv")).load()


def test_a_short_row_is_filled_up_and_empty_cells_beyond_the_header_count_for_nothing(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("name,mos\na.mp4\nb.mp4,2, ,\n")
    frame = AtomicCSVDataset(filepath=str(path)).load()
    assert frame.to_dict("list") == {"name": ["a.mp4", "b.mp4"], "mos": ["", "2"]}


def test_a_table_of_a_header_alone_has_no_rows(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("name,mos\n")
    frame = AtomicCSVDataset(filepath=str(path)).load()
    assert frame.empty and list(frame.columns) == ["name", "mos"]
