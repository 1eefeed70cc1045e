"""Damaged files of a finished run: the same command makes them again, or refuses in a sentence."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from k150k_pipeline.journal.fingerprint import fingerprint
from tests.conftest import KEDRO, Project, copy_project, encode, run_to_end
from tests.fr_from_nr.conftest import numbers
from tests.support.damage import (
    GARBAGE,
    JOURNAL,
    ZEROS,
    Damage,
    Kind,
    all_of,
    entry,
    in_place_of,
    seal,
    write,
)
from tests.support.kedro_server import kedro_server
from tests.support.ledger import Ledger

CLIPS = 6
CLIP_FOLDER = "data/01_raw/konvid-150k/k150ka_extracted"
DONE = "data/04_feature/full_features_k150k.done"
_USER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


class Extract:
    """A finished extract run of six clips in two shards."""

    ledger_kind = "state damage: extract"
    status = "extract-status"
    journal = "data/02_intermediate/k150ka_journal"
    output = "data/04_feature/full_features_k150k.parquet"
    reads: tuple[str, ...] = ("k150k.parquet", ".done", "rows.jsonl", "verified.jsonl")

    def fill(self, project: Project, tiny_clips: Path) -> None:
        for path in sorted(tiny_clips.glob("*.mp4"))[:CLIPS]:
            os.link(path, project.clips / path.name)
        project.write_scores({path.name: 3.0 for path in project.clips.iterdir()})

    def command(self, params: str) -> list[str]:
        verify = "" if "verify_clips" in params else ",extract.verify_clips=0"
        return ["run", "--pipelines=extract", f"--params=extract.shards=2{verify}{params}"]

    def contents(self, project: Project) -> bytes:
        return (project.root / self.output).read_bytes()

    def clips(self, project: Project) -> list[str]:
        return project.table()["clip_name"].tolist()


class Ingest(Extract):
    """A finished ingest run of six clips in two shards."""

    ledger_kind = "state damage: ingest"
    status = "ingest-status"
    journal = "data/02_intermediate/konvid_150k_ingest_journal"
    output = "data/02_intermediate/konvid_150k.jsonl"
    reads = ("konvid_150k.jsonl",)

    def command(self, params: str) -> list[str]:
        common = "ingest.min_rows=1,ingest.shards=2"
        return ["run", "--pipelines=ingest", f"--params={common}{params}"]

    def clips(self, project: Project) -> list[str]:
        return [row["src"] for row in self.rows(project)]

    def rows(self, project: Project) -> list[dict]:
        lines = (project.root / self.output).read_text().splitlines()
        return [json.loads(line) for line in lines]


class Sweep(Ingest):
    """A finished fr_from_nr run of six clips in two shards."""

    ledger_kind = "state damage: fr"
    status = "fr-status"
    journal = "data/02_intermediate/k150k_fr_journal"
    output = "data/05_model_input/k150k_fr_corpus.jsonl"
    reads = ()

    def fill(self, project: Project, tiny_clips: Path) -> None:
        corpus = project.root / "data/02_intermediate/konvid_150k.jsonl"
        corpus.parent.mkdir(parents=True)
        with corpus.open("w") as file:
            for index in range(CLIPS):
                source = f"testsrc2=s=96x64:r=25:d=0.12,hue=h={index * 30}"
                encode(project.clips / f"{index}.mp4", source, "-pix_fmt", "yuv420p")
                file.write(json.dumps({"src": f"{index}.mp4", "mos": 3.0}) + "\n")

    def command(self, params: str) -> list[str]:
        common = "fr_from_nr.preset=ultrafast,fr_from_nr.shards=2,fr_from_nr.crf_sweep=20+40"
        return ["run", "--pipelines=fr_from_nr", f"--params={common}{params}"]

    def contents(self, project: Project) -> bytes:
        return json.dumps(numbers(self.rows(project))).encode()

    def clips(self, project: Project) -> list[str]:
        return [row["src"] for row in self.rows(project)][::2]


class Finished:
    """A project whose run has ended, from which each case gets a copy."""

    def __init__(self, run: Extract, root: Path, tiny_clips: Path) -> None:
        self.run = run
        self.project = Project(copy_project(root))
        run.fill(self.project, tiny_clips)
        self.project.kedro(*run.command(""))
        self.expected = run.contents(self.project)
        self.clips = sorted(path.name for path in self.project.clips.iterdir())

    def copy(self, root: Path) -> Project:
        root.mkdir()
        project = Project(copy_project(root))
        shutil.copytree(self.project.root / "data", root / "data", dirs_exist_ok=True)
        return project


@pytest.fixture(scope="module")
def extracted(tmp_path_factory, tiny_clips):
    return Finished(Extract(), tmp_path_factory.mktemp("extract"), tiny_clips)


@pytest.fixture(scope="module")
def ingested(tmp_path_factory, tiny_clips):
    return Finished(Ingest(), tmp_path_factory.mktemp("ingest"), tiny_clips)


@pytest.fixture(scope="module")
def swept(tmp_path_factory, tiny_clips):
    return Finished(Sweep(), tmp_path_factory.mktemp("fr"), tiny_clips)


def files(root: Path) -> dict[Path, bytes]:
    found = {}
    for folder, _, names in os.walk(root / "data"):
        for path in (Path(folder, name) for name in names):
            if path.is_file():
                found[path] = path.read_bytes()
    return found


def lost(
    run: Extract, before: Mapping[Path, bytes], whole: Mapping[Path, bytes], root: Path
) -> list[Path]:
    """Return the journal files and the damaged files whose bytes are nowhere any more.

    Args:
        run: The run; it reads the files with some endings, and must keep them if damaged. A
            ``.done`` is damaged if it is no list of names.
        before: Contents before the run.
        whole: Contents before the damage.
        root: The project.
    """
    after = files(root)
    shards = {path: content for path, content in before.items() if path.match("shard-*")}
    damaged = {
        path: content
        for path, content in before.items()
        if path.name.endswith(run.reads)
        and content not in (b"", whole.get(path))
        and (path.suffix != ".done" or b"\0" in content)
    }
    gone = [path for path, content in damaged.items() if content not in after.values()]
    changed = [path for path, content in shards.items() if after.get(path) != content]
    return gone + [path for path in changed if not _is_cut(before[path], after.get(path))]


def _is_cut(content: bytes, after: bytes | None) -> bool:
    """Return whether a file has lost its torn last line and nothing else."""
    return after == content[: content.rfind(b"\n") + 1]


def run_as(kind: Kind, project: Project, command: list[str]) -> tuple[int, str]:
    """Run a command; for root without the right to pass over file permissions."""
    if not kind.as_user:
        call = kedro_server().start([*command, "--runner=SequentialRunner"], project.root)
        return call.wait(), call.output()
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("permissions do not hold for root, and there is no setpriv")
    user = _USER if os.getuid() == 0 else ()
    return run_to_end([*user, *KEDRO, *command, "--runner=SequentialRunner"], project.root)


def try_kind(finished: Finished, name: str, kind: Kind, ledger: Ledger, root: Path) -> None:
    """Damage a copy of a finished project, look at its status, and run the same command again."""
    run, project = finished.run, finished.copy(root / "project")
    with ledger.case(run.ledger_kind, name) as case:
        whole = files(project.root)
        kind.damage(project.root / run.journal)
        before = files(project.root) if not kind.as_user else {}
        if not kind.as_user:
            shown = project.kedro(run.status)
            case.read(shown)
            assert kind.in_status in " ".join(shown.split()), shown
        status, output = run_as(kind, project, run.command(kind.params))
        case.read(output)
        flat = " ".join(output.split())
        assert kind.warning in flat, output
        assert lost(run, before, whole, project.root) == [], output
        if kind.refusal:
            assert status != 0 and flat.count("Error: ") == 1 and kind.refusal in flat, output
            return
        assert status == 0, output
        assert run.contents(project) == finished.expected, output
        case.clips(finished.clips, run.clips(project))


def project_file(name: str, change: Callable[[bytes], bytes]) -> Damage:
    """Return the damage of a file by its path in the project."""

    def damage(journal: Path) -> None:
        path = journal.parents[2] / name
        path.write_bytes(change(path.read_bytes() if path.exists() else b""))

    return damage


def parquet(change: Callable[[bytes], bytes]) -> Damage:
    return project_file(Extract.output, change)


def done(content: bytes) -> Damage:
    return project_file(DONE, lambda _: content)


def done_lists_more(journal: Path) -> None:
    path = journal.parents[2] / DONE
    path.write_bytes(path.read_bytes() + b"more.mp4\nand_more.mp4\n")


def unreadable_done(journal: Path) -> None:
    (journal.parents[2] / DONE).chmod(0)


def remove(name: str) -> Damage:
    return lambda journal: (journal.parents[2] / name).unlink()


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 5]


def zeroed_pages(content: bytes) -> bytes:
    return content[:4] + bytes(len(content) // 3) + content[4 + len(content) // 3 :]


def clip_deleted(journal: Path) -> None:
    next((journal.parents[2] / CLIP_FOLDER).iterdir()).unlink()


def payload(change: Callable[[Any], Any]) -> Damage:
    return entry(lambda fields: {**fields, "payload": change(fields["payload"])})


def values(change: Callable[[list[Any]], list[Any]]) -> Kind:
    damage = payload(lambda p: {**p, "values": change(p["values"])})
    return Kind(damage, warning="lines of the journal")


def shard_of_ingest(journal: Path) -> None:
    header = {"journal": 1, "fingerprint": "f" * 16, "scoring": {"probe": "pyav"}, "writer": {}}
    clip = {"clip": "a.mp4", "status": "ok", "attempt": 1, "at": 1.0, "seconds": 1.0}
    lines = seal(header) + seal({**clip, "payload": {"sha256": "0" * 64}})
    (journal / "shard-0000-elsewhere-1-1.jsonl").write_bytes(lines)


def extra_records(extra: Mapping[str, Any]) -> bytes:
    scoring = {"extra_columns": 1}
    header = {"journal": 1, "fingerprint": fingerprint(scoring), "scoring": scoring, "writer": {}}
    line = {"clip": "orig_0000_540_5s.mp4", "status": "ok", "attempt": 1, "at": 1.0, "seconds": 0.0}
    return seal(header) + seal({**line, "payload": extra})


STAGING = f"{Extract.output}.rows.jsonl"
EXTRA = ",extract.extra_columns=fps+is_hdr"
EXTRA_TABLE = "data/04_feature/full_features_k150k.extra.parquet"
VERDICT = b'{"fingerprint": "0123456789abcdef", "clips": ["a.mp4"]}\n'
VERIFIES = ",extract.verify_clips=1"
NO_ROWS = "6 of them have no row in the parquet"
OLDER = "If you have a copy of the lost file, put it back"

EXTRACT: dict[str, Kind] = {
    **JOURNAL,
    "payload of 45 values": values(lambda numbers: [*numbers, 1.0]),
    "payload of 43 values": values(lambda numbers: numbers[1:]),
    "payload with a text": values(lambda numbers: ["1.0", *numbers[1:]]),
    "payload with null": values(lambda numbers: [None, *numbers[1:]]),
    "payload of a size without end": Kind(
        payload(lambda p: {**p, "width": 2**40}), warning="lines of the journal"
    ),
    "shard of ingest": Kind(shard_of_ingest, warning="lines of the journal"),
    "parquet truncated": Kind(parquet(cut), warning="parquet is damaged"),
    "parquet empty": Kind(parquet(lambda _: b""), warning="parquet is damaged"),
    "parquet garbage": Kind(parquet(lambda _: GARBAGE), warning="parquet is damaged"),
    "parquet with zeroed pages": Kind(parquet(zeroed_pages), warning="parquet is damaged"),
    "parquet lost": Kind(remove(Extract.output)),
    "parquet truncated, no journal": Kind(all_of(parquet(cut), shutil.rmtree), refusal=NO_ROWS),
    "parquet empty, no journal": Kind(all_of(parquet(lambda _: b""), shutil.rmtree), refusal=OLDER),
    "parquet with zeroed pages, no journal": Kind(
        all_of(parquet(zeroed_pages), shutil.rmtree), refusal="A damaged parquet is kept as"
    ),
    "parquet truncated, no journal, no .done": Kind(
        all_of(parquet(cut), shutil.rmtree, remove(DONE)), warning="parquet is damaged"
    ),
    "parquet and a line damaged": Kind(
        all_of(parquet(cut), JOURNAL["wrong checksum"].damage), warning="parquet is damaged"
    ),
    ".done binary": Kind(done(GARBAGE), warning=".done is damaged"),
    ".done of zeros": Kind(done(ZEROS), warning=".done is damaged"),
    ".done binary, no journal": Kind(
        all_of(done(GARBAGE), shutil.rmtree), warning=".done is damaged"
    ),
    ".done empty": Kind(done(b"")),
    ".done lists more": Kind(done_lists_more, warning="clips of these are scored again"),
    ".done lists more, no journal": Kind(
        all_of(done_lists_more, shutil.rmtree), refusal="2 of them have no row"
    ),
    ".done unreadable": Kind(
        unreadable_done, refusal=".done cannot be read (Permission denied)", as_user=True
    ),
    ".done is a folder": Kind(
        in_place_of(f"../../../{DONE}", Path.mkdir), refusal=".done cannot be read"
    ),
    "verified.jsonl garbage": Kind(
        all_of(write("verified.jsonl", VERDICT + GARBAGE), JOURNAL["one shard lost"].damage),
        warning="verified.jsonl is damaged",
        params=VERIFIES,
    ),
    "verified.jsonl torn": Kind(
        all_of(write("verified.jsonl", VERDICT[:-20]), JOURNAL["one shard lost"].damage),
        warning="verified.jsonl is damaged",
        params=VERIFIES,
    ),
    "verified.jsonl of other keys": Kind(
        all_of(write("verified.jsonl", b"[]\n{}\n3\n"), JOURNAL["one shard lost"].damage),
        warning="verified.jsonl is damaged",
        params=VERIFIES,
    ),
    "staging garbage": Kind(project_file(STAGING, lambda _: GARBAGE)),
    "staging of zeros": Kind(project_file(STAGING, lambda _: ZEROS)),
    "staging torn": Kind(project_file(STAGING, lambda _: b'{"clip_name": "torn')),
    "staging is a folder": Kind(in_place_of(f"../../../{STAGING}", Path.mkdir)),
    "extra records of garbage": Kind(
        write("extra/shard-0000-x.jsonl", GARBAGE + b"\n"),
        warning="lines of the journal",
        params=EXTRA,
    ),
    "extra records of another format": Kind(
        write("extra/shard-0000-x.jsonl", b'{"journal": 2}\n'),
        refusal="and this version reads format 1",
        params=EXTRA,
    ),
    "extra records of other types": Kind(
        write("extra/shard-0000-x.jsonl", extra_records({"fps": "25", "is_hdr": False})),
        warning="lines of the journal",
        params=EXTRA,
    ),
    "extra table garbage": Kind(
        project_file(EXTRA_TABLE, lambda _: GARBAGE),
        params=EXTRA,
    ),
    "clip deleted": Kind(clip_deleted),
    "report and failures garbage": Kind(
        all_of(
            project_file("data/08_reporting/k150ka_report.json", lambda _: GARBAGE),
            project_file("data/08_reporting/k150ka_failures.csv", lambda _: GARBAGE),
        )
    ),
}

INGEST: dict[str, Kind] = {
    **JOURNAL,
    "facts without their hash": Kind(
        payload(lambda p: {**p, "sha256": None}), warning="lines of the journal"
    ),
    "facts with a key more": Kind(
        payload(lambda p: {**p, "colour": "red"}), warning="lines of the journal"
    ),
    "corpus truncated": Kind(project_file(Ingest.output, cut), warning="jsonl is damaged"),
    "corpus empty": Kind(project_file(Ingest.output, lambda _: b"")),
    "corpus with garbage": Kind(
        project_file(Ingest.output, lambda content: content + GARBAGE), warning="jsonl is damaged"
    ),
    "corpus with zeros": Kind(
        project_file(Ingest.output, lambda content: content + ZEROS), warning="jsonl is damaged"
    ),
    "manifest garbage": Kind(project_file(f"{Ingest.output}.manifest.json", lambda _: GARBAGE)),
    "download progress garbage": Kind(
        project_file("data/01_raw/konvid-150k/.download-progress.json", lambda _: GARBAGE),
        refusal="is not a download-progress file",
    ),
    "labels garbage": Kind(write("run/labels.json", GARBAGE)),
    "clip deleted": Kind(clip_deleted),
}

FR: dict[str, Kind] = {
    **JOURNAL,
    "sweep of one row": Kind(
        payload(lambda p: {**p, "sweep": p["sweep"][:1]}), warning="lines of the journal"
    ),
    "sweep of three rows": Kind(
        payload(lambda p: {**p, "sweep": [*p["sweep"], p["sweep"][0]]}),
        warning="lines of the journal",
    ),
    "sweep of other CRFs": Kind(
        payload(lambda p: {**p, "sweep": [{**row, "crf": 1} for row in p["sweep"]]}),
        warning="lines of the journal",
    ),
    "row without a key": Kind(
        payload(lambda p: {**p, "sweep": [{"crf": row["crf"]} for row in p["sweep"]]}),
        warning="lines of the journal",
    ),
    "row with a text for a score": Kind(
        payload(lambda p: {**p, "sweep": [{**row, "vmaf_score": "9"} for row in p["sweep"]]}),
        warning="lines of the journal",
    ),
    "FR corpus truncated": Kind(project_file(Sweep.output, cut)),
    "FR corpus garbage": Kind(project_file(Sweep.output, lambda _: GARBAGE)),
    "clip deleted": Kind(clip_deleted),
}

SAMPLE = {
    "parquet truncated",
    ".done binary",
    "run.json a list",
    "zeros in the middle",
    "payload of 45 values",
    "format 2, same keys",
    "facts with a key more",
    "sweep of one row",
}


def kinds(all_kinds: Mapping[str, Kind], sample: set[str]) -> list[Any]:
    """Return the parameters of a test; those out of the sample are for ``make crash`` alone."""
    marks = {True: (), False: pytest.mark.thorough}
    return [
        pytest.param(name, kind, id=name, marks=marks[name in sample])
        for name, kind in all_kinds.items()
    ]


@pytest.mark.xdist_group("state damage: extract")
@pytest.mark.parametrize(("name", "kind"), kinds(EXTRACT, SAMPLE))
def test_extract(extracted, ledger, tmp_path, name, kind):
    try_kind(extracted, name, kind, ledger, tmp_path)


@pytest.mark.xdist_group("state damage: ingest")
@pytest.mark.parametrize(("name", "kind"), kinds(INGEST, SAMPLE - JOURNAL.keys()))
def test_ingest(ingested, ledger, tmp_path, name, kind):
    try_kind(ingested, name, kind, ledger, tmp_path)


@pytest.mark.xdist_group("state damage: fr")
@pytest.mark.parametrize(("name", "kind"), kinds(FR, SAMPLE - JOURNAL.keys()))
def test_fr_from_nr(swept, ledger, tmp_path, name, kind):
    try_kind(swept, name, kind, ledger, tmp_path)
