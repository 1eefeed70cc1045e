"""Every layout, spelling and mistake that a KonViD drop can have."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from k150k_pipeline.errors import InputError
from k150k_pipeline.pipelines.ingest.layouts import find_layout
from k150k_pipeline.pipelines.ingest.plan import DropLabels
from k150k_pipeline.pipelines.ingest.reading import read_tables
from k150k_pipeline.schemas.ingest import IngestParameters

SMALL = {"min_rows": 1}


def drop(root: Path, **files: str | bytes) -> Path:
    """Write a drop's files; ``__`` in a name stands for a folder."""
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path = path.with_name(f"{path.name}.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def read(root: Path, **parameters) -> DropLabels:
    ingest = IngestParameters(**{**SMALL, **parameters})
    return read_tables(find_layout(root, ingest), ingest)


def mos(labels: DropLabels) -> dict[str, float]:
    return {name: label.mos for name, label in labels.rows.items()}


@pytest.mark.parametrize(
    "table",
    [
        "video_name,video_score\na.mp4,3.2\n",
        "video_name,mos,video_score\na.mp4,3.2,0.64\n",
        "file_name,MOS,SD,n,url\na.mp4,3.2,0.5,7,https://x.test/a.mp4\n",
        "clip_name,mos,mos_std,num_ratings,download_url\na,3.2,0.5,7,https://x.test/a.mp4\n",
        "\ufeffname,MOS,mos_std_dev,n_ratings\r\na.mp4,3.2,0.5,7\r\n",
        '"File_Name";"Mean Opinion Score"\n"a.mp4";"3.2"\n',
        "flickr_id\tmos\na\t3.2\n\n",
        "sd,n,score,filename\n0.5,7.0,3.2,a.mp4\n",
    ],
)
def test_every_spelling_of_a_manifest(tmp_path, table):
    labels = read(drop(tmp_path, manifest=table))
    assert mos(labels) == {"a.mp4": 3.2} and labels.problems == []
    label = labels.rows["a.mp4"]
    assert (label.n_ratings, label.mos_std_dev) in [(7, 0.5), (0, 0.0)]
    assert label.url in ("", "https://x.test/a.mp4")


def test_names_are_taken_as_they_are(tmp_path):
    table = 'name,mos\n"a, b.mp4",1\nc#d.mp4,2\ne f,3\n"g""h.mp4",4\nü.webm,5\n'
    names = {"a, b.mp4": 1, "c#d.mp4": 2, "e f.mp4": 3, 'g"h.mp4': 4, "ü.webm": 5}
    assert mos(read(drop(tmp_path, manifest=table))) == names


BAD = """name,mos,sd,n,sha256
a.mp4,3.0,0.5,5,
b.mp4,,0.5,5,
c.mp4,5.2,0.5,5,
d.mp4,nan,0.5,5,
,2.0,0.5,5,
a.mp4,4.0,0.5,5,
e.mp4,x,0.5,5,
../f.mp4,3.0,0.5,5,
/etc/g.mp4,3.0,0.5,5,
h\\i.mp4,3.0,0.5,5,
.j.mp4,3.0,0.5,5,
k.mp4
l.mp4,2.0,many,-3,zz
m.mp4,0.9,,,
a.mp4,3.0,0.5,5,
"""


def test_bad_rows_are_named_with_file_line_and_reason_and_the_rest_is_used(tmp_path):
    labels = read(drop(tmp_path, manifest=BAD))
    assert mos(labels) == {"a.mp4": 3.0, "l.mp4": 2.0}
    assert labels.rows["l.mp4"].n_ratings == 0 and labels.rows["l.mp4"].mos_std_dev == 0
    assert labels.repeated == ["a.mp4"]
    lines = [int(p.split("line ")[1].split(":")[0]) for p in labels.problems]
    assert lines == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 14, 14, 15]
    assert all(p.startswith("manifest.csv line ") for p in labels.problems)
    assert "'../f.mp4' is not the name of a file in a folder" in labels.problems[6]


def test_no_usable_column_or_row(tmp_path):
    with pytest.raises(InputError, match=r"no column with scores.*found are video_name, quality"):
        read(drop(tmp_path, manifest="video_name,quality\na,3\n"))
    with pytest.raises(InputError, match=r"no usable row: correct manifest.csv line 2: a: '7'"):
        read(drop(tmp_path, manifest="name,mos\na,7\n"))
    with pytest.raises(InputError, match=r"manifest.csv is empty"):
        read(drop(tmp_path, manifest=""))
    with pytest.raises(InputError, match=r"manifest.csv is not a text file in UTF-8"):
        read(drop(tmp_path, manifest=b"name,mos\n\xff\xfe\x00,3\n"))


def test_fractions_of_five(tmp_path):
    root = drop(tmp_path, manifest="name,mos\na,0.64\nb,1.0\n")
    with pytest.raises(InputError, match=r"ingest.score_scale=fraction_of_five"):
        read(root)
    assert mos(read(root, score_scale="fraction_of_five")) == {"a.mp4": 3.2, "b.mp4": 5.0}


def test_fractions_are_seen_behind_a_stray_value(tmp_path):
    with pytest.raises(InputError, match=r"ingest.score_scale=fraction_of_five"):
        read(drop(tmp_path, manifest="name,mos\na,0.64\nb,1.0\nc,64\n"))


def test_an_open_quote_swallows_no_rows(tmp_path):
    tail = "".join(f"{i},3\n" for i in range(100))
    with pytest.raises(InputError, match=r"manifest.csv: the row that begins on line 4.*quote"):
        read(drop(tmp_path, manifest=f'\nname,mos\na,3\n"b,3\n{tail}'))
    with pytest.raises(InputError, match=r"manifest.csv: the row that begins on line 3.*quote"):
        read(drop(tmp_path, manifest=f'name,mos\na,3\n"b,3\n{tail}"c,3\n{tail}'))


def test_a_row_over_several_lines_is_one_row(tmp_path):
    table = 'name,mos,title\na,3,"one\ntwo"\nb,9,x\n'
    labels = read(drop(tmp_path, manifest=table))
    assert mos(labels) == {"a.mp4": 3}
    assert labels.problems == ["manifest.csv line 4: b: '9' is not a MOS between 1 and 5"]


def test_a_comma_in_a_name_gives_no_other_clip_another_mos(tmp_path):
    labels = read(drop(tmp_path, manifest="name,mos\nmy clip, 4,3.2\na,3,\n"))
    assert mos(labels) == {"a.mp4": 3}
    assert labels.problems == ["manifest.csv line 2: 3 cells in 2 columns"]


A, B = "video_name,video_score\na.mp4,3\n", "video_name,mos,video_score\nb.mp4,2,0.4\n"


def test_split_drop_of_either_part_or_both(tmp_path):
    both = read(drop(tmp_path / "both", k150ka_scores=A, k150kb_scores=B))
    assert mos(both) == {"a.mp4": 3, "b.mp4": 2} and both.layout == "split"
    assert [Path(both.folders[both.rows[n].folder]).name for n in ("a.mp4", "b.mp4")] == [
        "k150ka_extracted",
        "k150kb_extracted",
    ]
    assert mos(read(drop(tmp_path / "a", k150ka_scores=A))) == {"a.mp4": 3}
    assert mos(read(drop(tmp_path / "b", k150kb_scores=B))) == {"b.mp4": 2}


def test_a_name_in_both_parts_counts_once_and_is_reported(tmp_path):
    other = B.replace("b.mp4", "a")
    labels = read(drop(tmp_path, k150ka_scores=A, k150kb_scores=other))
    assert mos(labels) == {"a.mp4": 3}
    assert labels.problems == ["k150kb_scores.csv: a.mp4: a second row (MOS 2, not 3)"]


@pytest.mark.parametrize("folder", ["KoNViD_1k_metadata__", ""])
def test_konvid_1k(tmp_path, folder):
    table = "flickr_id,MOS,SD,n\n3015014,2.5,0.61,62\n"
    root = drop(tmp_path, **{f"{folder}KoNViD_1k_attributes": table})
    labels = read(root, corpus="konvid-1k")
    assert mos(labels) == {"3015014.mp4": 2.5} and labels.layout == "konvid_1k"
    assert Path(labels.folders[0]).name == "KoNViD_1k_videos"
    with pytest.raises(InputError, match=r"holds KonViD-1k.*ingest.corpus=konvid-1k"):
        read(root)


def test_layouts_that_are_not_recognised_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist: put the corpus there"):
        read(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"neither manifest.csv.*found are \['x.csv'\]"):
        read(drop(tmp_path, x="a,b\n"))


def test_an_explicit_manifest_is_never_replaced_by_something_else(tmp_path):
    root = drop(tmp_path, manifest=A, k150ka_scores=A, sub__mine=B)
    with pytest.raises(InputError, match=r"typo.csv does not exist: put it there"):
        read(root, manifest_csv=tmp_path / "typo.csv")
    assert mos(read(root, manifest_csv=tmp_path / "sub/mine.csv")) == {"b.mp4": 2}
    assert read(root).layout == "manifest"
    assert read(root, layout="split").layout == "split"


def rows(count: int) -> str:
    return "name,mos\n" + "".join(f"{i}.mp4,3\n" for i in range(count))


def test_mis_mounted_corpora_are_refused_with_the_way_out(tmp_path):
    short = drop(tmp_path / "short", manifest=rows(1200))
    with pytest.raises(InputError, match=r"1200 rows are too few.*ingest.corpus=konvid-1k"):
        read(short, min_rows=5000)
    assert len(read(short, min_rows=1200).rows) == 1200
    long = drop(tmp_path / "long", KoNViD_1k_attributes=rows(1501))
    with pytest.raises(InputError, match=r"1501 rows are too many.*ingest.corpus=konvid-150k"):
        read(long, corpus="konvid-1k")
    assert len(read(long, corpus="konvid-1k", max_rows=1501).rows) == 1501


def test_k150kb_alone_is_small_and_welcome(tmp_path):
    assert len(read(drop(tmp_path, k150kb_scores=rows(1577)), min_rows=5000).rows) == 1577
    both = drop(tmp_path, k150ka_scores=rows(3))
    with pytest.raises(InputError, match="1580 rows are too few"):
        read(both, min_rows=5000)


VOTES = """video_name,worker_id,video_score
a.mp4,w1,3
a.mp4,w2,4
a,w3,2
b.mp4,w1,5
c.mp4,w1,9
c.mp4,w2,
d.mp4,w1,1
a.mp4,w4
"""


def test_votes_give_count_and_deviation_and_are_compared_with_the_scores(tmp_path):
    scores = "video_name,video_score,sd,n\na.mp4,3,0.1,99\nb,5,0.1,99\nc.mp4,2,0.1,99\n"
    labels = read(drop(tmp_path, k150ka_scores=scores, k150ka_votes=VOTES))
    a, b, c = (labels.rows[f"{name}.mp4"] for name in "abc")
    assert (a.n_ratings, a.mos_std_dev, a.mos) == (3, statistics.stdev([3, 4, 2]), 3)
    assert (b.n_ratings, b.mos_std_dev) == (1, 0.0)
    assert (c.n_ratings, c.mos_std_dev) == (99, 0.1)
    assert labels.disagreements == []
    assert labels.bad_votes == 3 and "line 6: c.mp4: '9' is no vote" in labels.vote_problems[0]
    assert labels.votes_without_label == 1


def test_votes_that_give_another_mos_are_reported(tmp_path):
    scores = "video_name,video_score\na.mp4,3.5\nb.mp4,4.9\n"
    root = drop(tmp_path, k150ka_scores=scores, k150ka_votes=VOTES)
    assert len(read(root).disagreements) == 2
    assert "a.mp4: MOS 3.5, mean of 3 votes 3" in read(root).disagreements[0]
    assert read(root, mos_tolerance=0.5).disagreements == []
    assert mos(read(root)) == {"a.mp4": 3.5, "b.mp4": 4.9}


def test_votes_without_a_vote_column_are_refused(tmp_path):
    root = drop(tmp_path, k150ka_scores=A, k150ka_votes="video_name,worker_id\na.mp4,w1\n")
    with pytest.raises(InputError, match=r"no column with votes.*found are video_name, worker_id"):
        read(root)


def test_deviation_is_that_of_the_sample_to_the_last_digits(tmp_path):
    votes = [1, 5, 4, 4, 2, 3, 5, 5, 1, 2] * 9
    table = "name,vote\n" + "".join(f"a.mp4,{v}\n" for v in votes)
    labels = read(drop(tmp_path, manifest="name,mos\na.mp4,3.2\n", a_votes=table))
    assert labels.rows["a.mp4"].mos_std_dev == pytest.approx(statistics.stdev(votes), abs=1e-14)


def test_votes_find_clips_of_other_suffixes_and_no_others(tmp_path):
    root = drop(tmp_path, manifest="name,mos\na,3\nb.webm,3\nb,3\n", votes="name,vote\na,3\nb,3\n")
    (root / "clips").mkdir()
    for name in ("a.MP4", "b.mp4", "b.webm"):
        (root / "clips" / name).touch()
    labels = read(root)
    counts = {name: label.n_ratings for name, label in labels.rows.items()}
    assert counts == {"a.MP4": 1, "b.mp4": 1, "b.webm": 0}
    assert labels.votes_without_label == 0
