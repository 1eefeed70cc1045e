"""Small runs of each pipeline for the crash tests, and what may differ between two of them."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.conftest import Project, copy_project, encode
from tests.end_to_end.test_legacy import leave, old_row
from tests.fr_from_nr.conftest import NOT_OF_THE_NUMBERS
from tests.support.http_server import Reply, ScriptedServer
from tests.support.pages import ReadPage

TINY = "testsrc2=s=256x256:r=25:d=0.12,hue=h={}"
SMALL = "testsrc2=s=96x64:r=25:d=0.12,hue=h={}"

PROGRESS = ".download-progress.json"

_TIMES = (
    *("started_at", "finished_at", "clips_per_second", "fsync_seconds", "ingested_at_utc"),
    *NOT_OF_THE_NUMBERS,
)
_OF_THIS_RUN = ("done_before", "newly_finished", "recovered", "torn_lines", "fsyncs", "summary")
_OF_A_COPY = ("output", "run_provenance")
_FIGURES_OF_TIMES = ("rate", "seconds")
_UNSTABLE = frozenset((*_TIMES, *_OF_THIS_RUN, *_OF_A_COPY, *_FIGURES_OF_TIMES))

Snapshot = dict[str, Any]
"""What each derived file holds, by its path in the project, without what may differ."""


@dataclass(frozen=True)
class Scenario:
    """A project before a run, and the run.

    Attributes:
        name: Name of the pipeline, or of its case, in the ledger.
        root: The project; it is copied and never run itself.
        arguments: Arguments of Kedro.
        journal: Folder of the journal, relative to the project.
        clips: Clips with a row at the end.
    """

    name: str
    root: Path
    arguments: list[str]
    journal: str
    clips: list[str]

    def copy(self, target: Path) -> Path:
        """Return a fresh copy of the project."""
        shutil.rmtree(target, ignore_errors=True)
        return shutil.copytree(self.root, target)


def journaled_well(folder: Path) -> Counter[str]:
    """Return how many lines each clip with a row has in a journal."""
    lines = [
        json.loads(line)
        for path in folder.glob("shard-*.jsonl")
        for line in path.read_text().splitlines()[1:]
    ]
    return Counter(line["clip"] for line in lines if line["status"] == "ok")


def snapshot(root: Path, named: Path | None = None) -> Snapshot:
    """Return what the files hold that a run derives, and those that it was given.

    Args:
        root: The project.
        named: Its path in the files, if that is another one.
    """
    files = (path for path in (root / "data").rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): _content(path, named or root)
        for path in files
        if not _is_state(path)
    }


def file_names(root: Path) -> set[str]:
    """Return the names of all files, among which the files of a journal are one."""
    files = (p for p in (root / "data").rglob("*") if p.is_file())
    return {re.sub(r"/shard-[^/]*\.jsonl$", "/shard", str(p.relative_to(root))) for p in files}


def _is_state(path: Path) -> bool:
    """Return whether a file is a journal's, a lock, or not finished."""
    journal = path.parent if path.parent.name != "run" else path.parent.parent
    unfinished = path.name.endswith((".tmp", ".part", ".part.json", ".lock"))
    return journal.name.endswith("_journal") or unfinished


def _content(path: Path, root: Path) -> Any:
    if path.suffix == ".json":
        document = json.loads(path.read_text().replace(str(root), "ROOT"))
        of_times = path.parent.name.endswith("_figures") and path.stem in _FIGURES_OF_TIMES
        return sorted(document) if of_times else _stable(document)
    if path.suffix == ".html":
        return _page(path.read_text().replace(str(root), "ROOT"))
    if path.suffix == ".jsonl" and not path.name.endswith(".rows.jsonl"):
        return [_stable(json.loads(line)) for line in path.read_text().splitlines()]
    if path.name.endswith("_failures.csv"):
        return re.sub(r",\d+,(True|False),", ",", path.read_text()).replace(str(root), "ROOT")
    if path.name.endswith("_fr_corpus.parquet"):
        return [_stable(row) for row in pq.read_table(path).to_pylist()]
    return path.read_bytes()


def _page(html: str) -> Any:
    """Return the numbers of a report page but for those of times, if it is whole."""
    whole = html.startswith("<!doctype html>") and html.endswith("</html>")
    return _stable(ReadPage(html).data) if whole else html


def _stable(document: Any) -> Any:
    if isinstance(document, dict):
        return {k: _stable(v) for k, v in document.items() if k not in _UNSTABLE}
    return document


def _project(root: Path) -> Project:
    root.mkdir()
    project = Project(copy_project(root))
    # A run that reads less begins sooner.
    (root / "conf/local/parameters.yml").unlink()
    for path in (root / "conf/base").glob("*_*.yml"):
        if not path.stem.endswith(("_extract", "_ingest", "_fr_from_nr")):
            path.unlink()
    return project


def _run(pipeline: str, **parameters: object) -> list[str]:
    params = ",".join(f"{name}={value}" for name, value in parameters.items())
    own = f"{pipeline}.shards=2,{pipeline}.max_failure_rate=1,{params}"
    if pipeline == "ingest":
        own = f"ingest.shards=2,{params}"
    return ["run", f"--pipelines={pipeline}", f"--params={own}", "--runner=SequentialRunner"]


def _add_clips(project: Project, source: str, count: int) -> list[str]:
    for index in range(count):
        name = f"{index:02d}.mp4"
        encode(project.clips / name, source.format(index * 40), "-pix_fmt", "yuv420p")
    return sorted(path.name for path in project.clips.iterdir())


def _break(project: Project, name: str) -> None:
    path = project.clips / name
    path.write_bytes(path.read_bytes()[:-200])


def make_extract(root: Path) -> Scenario:
    """Return an extraction of two clips and a broken one."""
    project = _project(root)
    names = _add_clips(project, TINY, 3)
    _break(project, names[1])
    project.write_scores(dict.fromkeys(names, 3.0))
    run = _run("extract", **{"extract.verify_clips": 0})
    return Scenario(
        "extract", root, run, "data/02_intermediate/k150ka_journal", [names[0], names[2]]
    )


def make_takeover(root: Path) -> Scenario:
    """Return an extraction of one clip, beside the older script's table and staging file."""
    project = _project(root)
    names = _add_clips(project, TINY, 3)
    project.write_scores(dict.fromkeys(names, 3.0))
    project.features.parent.mkdir(parents=True)
    project.rows = project.features.with_name(project.features.name + ".rows.jsonl")
    pq.write_table(pa.Table.from_pylist([old_row(names[0], 7.25)]), project.features)
    leave(project, names[:2], names[1:2])
    run = _run("extract", **{"extract.verify_clips": 0})
    return Scenario("extract takeover", root, run, "data/02_intermediate/k150ka_journal", names)


def make_ingest(root: Path) -> Scenario:
    """Return an ingestion of a drop of two clips and a broken one."""
    project = _project(root)
    names = _add_clips(project, TINY, 3)
    _break(project, names[1])
    project.write_scores(dict.fromkeys(names, 3.0))
    run = _run("ingest", **{"ingest.min_rows": 1})
    journal = "data/02_intermediate/konvid_150k_ingest_journal"
    return Scenario("ingest", root, run, journal, [names[0], names[2]])


def make_download(root: Path, server: ScriptedServer) -> Scenario:
    """Return an ingestion that downloads three clips and misses one."""
    project = _project(root)
    names = _add_clips(project, TINY, 3)
    rows = []
    for number, name in enumerate(names):
        reply = Reply(body=(project.clips / name).read_bytes(), headers={"ETag": f'"{number}"'})
        rows.append(f"{name},{server.at(f'/{name}', reply)},3")
    rows.append(f"gone.mp4,{server.at('/gone.mp4', Reply(status=404))},3")
    shutil.rmtree(project.clips)
    (project.drop / "manifest.csv").write_text("name,url,mos\n" + "\n".join(rows) + "\n")
    network = {"allow_private": "true", "concurrency": 1, "attempts": 1}
    params = {f"ingest.download.{name}": value for name, value in network.items()}
    run = _run("ingest", **{"ingest.min_rows": 1, **params})
    journal = "data/02_intermediate/konvid_150k_ingest_journal"
    return Scenario("download", root, run, journal, names)


def make_fr_from_nr(root: Path) -> Scenario:
    """Return a sweep of two clips over two CRFs, whose encodes are kept."""
    project = _project(root)
    names = _add_clips(project, SMALL, 2)
    corpus = root / "data/02_intermediate/konvid_150k.jsonl"
    corpus.parent.mkdir(parents=True)
    corpus.write_text("".join(json.dumps({"src": n, "mos": 3.0}) + "\n" for n in names))
    params = {
        "fr_from_nr.preset": "ultrafast",
        "fr_from_nr.crf_sweep": "23+40",
        "fr_from_nr.parquet": "true",
        "fr_from_nr.keep_encodes": "true",
        "fr_from_nr.encode_dir": "data/encodes",
    }
    run = _run("fr_from_nr", **params)
    return Scenario("fr_from_nr", root, run, "data/02_intermediate/k150k_fr_journal", names)
