"""Mistakes of every day: one sentence with the remedy, and nothing is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.support.kedro_server import kedro_server

TABLE = "video_name,video_score\na.mp4,1.5\n"
KEPT = "kept"


@dataclass(frozen=True)
class Mistake:
    """Arguments of ``kedro run``, what is said of them, and the exit code."""

    arguments: tuple[str, ...]
    says: tuple[str, ...]
    code: int = 1
    files: Mapping[str, str | bytes] = field(default_factory=dict)


def extract(params: str = "", *arguments: str) -> tuple[str, ...]:
    given = ("--params", f"extract.verify_clips=0,{params}") if params else ()
    return ("--pipelines=extract", "--runner=SequentialRunner", *given, *arguments)


MISTAKES = {
    "env": Mistake(("--env=smaple",), ("no environment 'smaple'", "first: sample (folders of ")),
    "pipelines": Mistake(("--pipelines=extarct",), ("'extarct'", "first: extract, enrich, ")),
    "pipeline": Mistake(("--pipeline=extarct",), ("'extarct'", "first: extract, enrich, ")),
    "pipelines that clash": Mistake(
        ("--pipelines=__default__,extract",), ("write the same datasets", "one after the other")
    ),
    "nodes": Mistake(extract("", "--nodes=extract.plann"), ("first: extract.plan, ", " more")),
    "nodes without namespace": Mistake(
        extract("", "--nodes=score.shard_0001"), ("first: extract.score.shard_0001, ", " more")
    ),
    "from-nodes": Mistake(extract("", "--from-nodes=verify"), ("first: extract.verify, ",)),
    "to-nodes": Mistake(extract("", "--to-nodes=extract.mergee"), ("first: extract.merge, ",)),
    "tags": Mistake(extract("", "--tags=foo"), ("no tag 'foo'", "leave the option out")),
    "from-inputs": Mistake(extract("", "--from-inputs=k150ka_score"), ("first: k150ka_scores, ",)),
    "to-outputs": Mistake(
        extract("", "--to-outputs=k150ka_feature"), ("first: k150ka_features, ", " more")
    ),
    "namespaces": Mistake(extract("", "--namespaces=extrakt"), ("first: extract, extract.score",)),
    "nothing left": Mistake(
        extract("", "--from-nodes=extract.merge", "--to-nodes=extract.plan"),
        ("--from-nodes=extract.merge and --to-nodes=extract.plan",),
    ),
    "option": Mistake(("--parms", "x=1"), ("'--parms'", "'--params'"), 2),
    "argument": Mistake(("extract",), ("unexpected extra argument (extract)",), 2),
    "conf-source": Mistake(("--conf-source=/nowhere",), ("'/nowhere' does not exist",), 2),
    "runner": Mistake(("--runner=FooRunner",), ("'FooRunner'", "SequentialRunner")),
    "runner of nowhere": Mistake(("--runner=a.b.C",), ("'a.b.C'", "SequentialRunner")),
    "runner-params": Mistake(("--runner-params=worker=2",), ("'worker'", "max_workers")),
    "runner-params value": Mistake(("--runner-params=max_workers=0",), ("whole number from 1",)),
    "limit without its block": Mistake(
        ("--params", "limit=2"), ("'limit'", "extract.limit, fr_from_nr.limit or ingest.limit?")
    ),
    "misspelt and without block": Mistake(("--params", "wokers=2"), ("extract.workers",)),
    "misspelt path": Mistake(("--params", "clip_dir=/x"), ("'clip_dir'", "mean clips_dir?")),
    "misspelt block": Mistake(("--params", "extrct.limit=2"), ("'extrct'", "mean extract?")),
    "like nothing": Mistake(("--params", "zzz=2"), ("'zzz'. There are, nearest first: ",)),
    "in another environment": Mistake(("--env=sample", "--params", "limit=2"), ("extract.limit",)),
    "params without value": Mistake(("--params", "extract.limit"), ("separated by `=`",), 2),
    "params without name": Mistake(("--params", "=2"), ("cannot be an empty string",), 2),
    "params of no YAML": Mistake(("--params", "extract.limit=[1"), ("write name=value",), 2),
    "misspelt key": Mistake(extract("extract.limt=2"), ("mean extract.limit?",)),
    "many misspelt keys": Mistake(
        extract("extract.limt=2,extract.plna=x,vmaf.treads=3,vmaf.mdel=x"),
        ("extract.limit", "vmaf.threads", "1 more"),
    ),
    "out of range": Mistake(extract("extract.limit=0"), ("extract.limit: 0 is not allowed",)),
    "block that is none": Mistake(("--params", "extract=5"), ("extract: 5 is not a block",)),
    "table in UTF-16 without a mark": Mistake(
        extract("scores=t.csv"),
        ("t.csv is not a text file",),
        files={"t.csv": TABLE.encode("utf-16-le")},
    ),
    "web page": Mistake(
        extract("scores=t.csv"), ("t.csv is a web page",), files={"t.csv": "<html>\na,b\n</html>"}
    ),
    "table of two delimiters": Mistake(
        extract("scores=t.csv"), ("as many commas as semicolons",), files={"t.csv": "a,b;mos\n"}
    ),
    "empty table": Mistake(extract("scores=t.csv"), ("t.csv is empty",), files={"t.csv": ""}),
    "header alone": Mistake(
        extract("scores=t.csv"), ("t.csv has no rows",), files={"t.csv": "name,mos\n"}
    ),
    "parquet for a table": Mistake(
        extract("scores=t.csv"), ("t.csv is a parquet file",), files={"t.csv": b"PAR1\x15\x00"}
    ),
    "table for a parquet": Mistake(
        ("--pipelines=mos_head", "--params", "features=t.csv"),
        ("t.csv is not a parquet file",),
        files={"t.csv": TABLE},
    ),
    "no table": Mistake(extract("scores=/no.csv"), ("/no.csv does not exist", "scores=")),
    "no features": Mistake(
        ("--pipelines=mos_head", "--params", "features=/no.parquet"),
        ("/no.parquet does not exist",),
    ),
    "folder as scores": Mistake(extract("scores=data"), ("data is a folder",)),
    "folder as corpus": Mistake(
        ("--pipelines=mos_head", "--params", "corpus=data"), ("data is a folder",)
    ),
    "features beside tables": Mistake(
        ("--pipelines=protocol", "--params", "features=f.parquet,protocol.tables=a.csv+b.csv"),
        ("features=f.parquet and protocol.tables=a.csv+b.csv both", "give one of them"),
    ),
    "folder as features": Mistake(
        ("--pipelines=mos_head", "--params", "features=data"), ("data is a folder",)
    ),
    "page as report": Mistake(
        extract("report=data/report.html"), ("report.html is the place of", "such as .json")
    ),
    "folder as output": Mistake(extract("out=data"), ("data is a folder",)),
    "parent of the clips": Mistake(
        extract("clips_dir=data/01_raw/konvid-150k"),
        ("has no clip (.mp4), but ", "k150ka_extracted has some", "clips_dir="),
    ),
    "folder without clips": Mistake(extract("clips_dir=conf"), ("conf has no clip (.mp4)",)),
    "other clips": Mistake(
        extract("clips_dir=other"), ("labelled are", "has 1 clips, such as b.mp4"),
        files={"other/b.mp4": b""},
    ),
    "file as clips_dir": Mistake(
        extract("clips_dir=README"), ("is a file, not a folder",), files={"README": ""}
    ),
    "no clips_dir": Mistake(extract("clips_dir=/nowhere"), ("/nowhere does not exist",)),
    "output that cannot be": Mistake(
        extract("out=README/x.parquet"), ("cannot be written", "README"), files={"README": ""}
    ),
    "broken YAML": Mistake(
        (), ("parameters.yml line 2 is not YAML",), files={"conf/local/parameters.yml": "a: {b\n"}
    ),
    "YAML of a list": Mistake(
        (), ("parameters.yml holds no names",), files={"conf/local/parameters.yml": "- a\n"}
    ),
    "one key twice": Mistake(
        (), ("line 2", "duplicate key a"), files={"conf/local/parameters.yml": "a: 1\na: 2\n"}
    ),
    "bytes for YAML": Mistake(
        (), ("parameters.yml is not a text file",), files={"conf/local/parameters.yml": b"\xff\xfe"}
    ),
    "unknown global": Mistake(
        (), ("a.filepath", "'nothing'"),
        files={"conf/local/catalog.yml": "a: {type: x, filepath: '${globals:nothing}'}"},
    ),
    "unknown type": Mistake(
        extract(), ("k150ka_scores", "'FooDataset' not found"),
        files={"conf/local/catalog.yml": "k150ka_scores: {type: pandas.FooDataset, filepath: x}\n"},
    ),
}  # fmt: skip


@pytest.mark.sample(every=3)
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_a_sentence_with_the_remedy(project, mistake):
    root = project.root
    (project.clips / "a.mp4").touch()
    project.scores.write_text(TABLE)
    for path, content in mistake.files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content.encode() if isinstance(content, str) else content)
    call = kedro_server().start(["run", *mistake.arguments], root)
    assert call.wait() == mistake.code, call.output()
    output = call.output()
    for text in mistake.says:
        assert text in output
    lines = [line for line in output.splitlines() if " INFO " not in line]
    assert len(lines) <= 3 and lines[0].startswith("Error: "), output
    assert "Traceback" not in output and KEPT not in output
    assert not list(root.rglob("shard-*")) and not list(root.rglob("*.parquet"))
