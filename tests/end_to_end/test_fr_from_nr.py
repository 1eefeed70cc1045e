"""``kedro run --pipelines=fr_from_nr`` on tiny clips, by the command line."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil

import pandas as pd
import pytest
from pydantic import ValidationError

from k150k_pipeline.errors import InputError
from k150k_pipeline.pipelines.fr_from_nr.planning import read_corpus
from k150k_pipeline.schemas.fr import FR_COLUMNS
from k150k_pipeline.schemas.fr_parameters import FrParameters
from tests.support.binaries import write_stand_in
from tests.support.pages import ReadPage

QUICK = "fr_from_nr.preset=ultrafast"


class FrProject:
    """A project with a MOS corpus of tiny clips."""

    def __init__(self, project, tiny_clips) -> None:
        self.project = project
        data = project.root / "data"
        self.mos_corpus = data / "02_intermediate/konvid_150k.jsonl"
        self.journal = data / "02_intermediate/k150k_fr_journal"
        self.output = data / "05_model_input/k150k_fr_corpus.jsonl"
        self.table = self.output.with_suffix(".parquet")
        self.manifest = self.output.with_name(f"{self.output.name}.manifest.json")
        self.failures = data / "08_reporting/k150k_fr_failures.csv"
        self.report = data / "08_reporting/k150k_fr_report.json"
        self.clips = project.clips
        self.names = sorted(path.name for path in tiny_clips.glob("*.mp4"))[:4]
        for name in self.names:
            shutil.copy(tiny_clips / name, self.clips)
        self.write_corpus(self.names)

    def write_corpus(self, names, mos=3.0, digest=lambda name: "") -> None:
        self.mos_corpus.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            {"src": name, "src_sha256": digest(name), "mos": mos + i / 10}
            for i, name in enumerate(names)
        ]
        self.mos_corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def ingest(self) -> None:
        """Write the corpus of the clips as they are now."""
        self.write_corpus(
            self.names, digest=lambda n: hashlib.sha256((self.clips / n).read_bytes()).hexdigest()
        )

    def run(self, params="", ok=True) -> str:
        joined = ",".join(filter(None, (QUICK, params)))
        return self.project.kedro("run", "--pipelines=fr_from_nr", f"--params={joined}", ok=ok)

    def rows(self) -> list[dict]:
        return [json.loads(line) for line in self.output.read_text().splitlines()]

    def counts(self) -> dict:
        return json.loads(self.report.read_text())["counts"]


@pytest.fixture
def fr(project, tiny_clips):
    return FrProject(project, tiny_clips)


def test_corpus_in_rows_out(fr, tmp_path):
    (fr.clips / fr.names[1]).write_bytes(b"nothing")
    fr.write_corpus([*fr.names, "missing.mp4"])
    encodes, scratch = tmp_path / "encodes", tmp_path / "scratch"
    output = fr.run(
        "fr_from_nr.max_failure_rate=0.5,fr_from_nr.parquet=true,fr_from_nr.keep_encodes=true,"
        f"fr_from_nr.encode_dir={encodes},fr_from_nr.keep_intermediate_yuv=true,"
        f"vmaf.scratch_dir={scratch}"
    )
    assert len(list(encodes.iterdir())) == 15 and len(list(scratch.iterdir())) == 3
    rows = fr.rows()
    good = [fr.names[i] for i in (0, 2, 3)]
    sweep = (18, 23, 28, 33, 38)
    assert [(r["src"], r["crf"]) for r in rows] == list(itertools.product(good, sweep))
    assert all(tuple(row) == FR_COLUMNS and row["fr_from_nr"] is True for row in rows)
    assert [row["nr_mos"] for row in rows] == [mos for mos in (3.0, 3.2, 3.3) for _ in sweep]
    assert len({row["run_id"] for row in rows}) == 1

    failures = pd.read_csv(fr.failures)
    assert failures[["clip_name", "reason"]].values.tolist() == [[fr.names[1], "not_media"]]
    manifest = json.loads(fr.manifest.read_text())
    assert "not a pristine master" in manifest["caveat"]
    assert (manifest["clips"], manifest["rows"]) == (3, 15)
    ((made_with),) = manifest["clips_made_with"].values()
    assert (made_with["encoder"], made_with["preset"]) == ("libx264", "ultrafast")
    assert "3 of 4 clips have a row" in output and "missing.mp4" in output

    report = fr.failures.with_name("k150k_fr_report.json")
    page = ReadPage(report.with_suffix(".html").read_text())
    assert page.data["facts"]["report"] == json.loads(report.read_text())
    points = {
        (curve["name"], text): (x, y)
        for curve in page.data["figures"]["examples"]["data"]
        for x, y, text in zip(curve["x"], curve["y"], curve["text"], strict=True)
    }
    assert points == {
        (r["src"], f"CRF {r['crf']}"): (
            pytest.approx(r["bitrate_kbps"], rel=1e-6), pytest.approx(r["vmaf_score"], rel=1e-6)
        )
        for r in rows
    }  # fmt: skip
    assert fr.names[1] in str(page.tables["Failed clips"])

    table = pd.read_parquet(fr.table)
    assert table.columns.tolist() == list(FR_COLUMNS)
    assert table.to_dict("records") == rows
    status = fr.project.kedro("fr-status")
    assert "wanted 4, done 3, failed attempts 1" in status and "not running" in status


def test_second_run_does_nothing_and_new_labels_are_taken(fr):
    fr.run("fr_from_nr.limit=3")
    assert fr.counts()["fr_rows"] == 15 and fr.counts()["not_yet_tried"] == 1
    first, files = fr.rows(), sorted(fr.journal.glob("shard-*"))
    fr.run("fr_from_nr.limit=3")
    assert fr.rows() == first and sorted(fr.journal.glob("shard-*")) == files
    fr.write_corpus(fr.names, mos=4.0)
    fr.run("fr_from_nr.shards=2")
    rows = fr.rows()
    assert fr.counts()["newly_finished"] == 1 and len(rows) == 20
    assert [{**row, "nr_mos": 0} for row in rows[:15]] == [{**row, "nr_mos": 0} for row in first]
    assert rows[0]["nr_mos"] == 4.0


def test_failed_clips_are_tried_again_and_too_many_end_the_run(fr):
    bad = fr.clips / fr.names[0]
    good = bad.read_bytes()
    bad.write_bytes(b"nothing")
    output = fr.run(ok=False)
    assert "1 of 4 clips failed (25.0%, fr_from_nr.max_failure_rate is 5.0%)" in output
    assert "Traceback" not in output and len(fr.rows()) == 15 and fr.manifest.exists()
    bad.write_bytes(good)
    fr.run()
    assert len(fr.rows()) == 20 and pd.read_csv(fr.failures).empty


def test_rows_are_those_of_the_bytes_that_the_corpus_names(fr):
    first, other = (fr.clips / name for name in fr.names[:2])
    original, corpora = first.read_bytes(), []
    fr.ingest()
    corpora.append(fr.mos_corpus.read_bytes())
    fr.run("fr_from_nr.limit=3")
    outputs = [fr.output.read_bytes()]
    first.write_bytes(other.read_bytes())
    output = fr.run("fr_from_nr.limit=3")
    assert fr.output.read_bytes() == outputs[0] and "other bytes" not in output
    fr.ingest()
    corpora.append(fr.mos_corpus.read_bytes())
    output = fr.run("fr_from_nr.limit=3")
    assert f"1 of the clips ({first.name}) have rows of other bytes" in output
    assert f"1 changed clip: {first.name}" in output
    counts = fr.counts()
    assert (counts["changed_clips"], counts["newly_finished"], counts["fr_rows"]) == (1, 1, 15)
    outputs.append(fr.output.read_bytes())
    before, rows = (list(map(json.loads, lines.splitlines())) for lines in outputs)
    assert rows[5:] == before[5:]
    assert {row["src_sha256"] for row in rows[:5]} == {rows[5]["src_sha256"]}
    assert [r["vmaf_score"] for r in rows[:5]] == [r["vmaf_score"] for r in rows[5:10]]
    for number, content in ((0, original), (1, other.read_bytes()), (0, b"is not opened")):
        first.write_bytes(content)
        fr.mos_corpus.write_bytes(corpora[number])
        fr.run("fr_from_nr.limit=3")
        assert fr.output.read_bytes() == outputs[number]
        assert fr.counts()["newly_finished"] == fr.counts()["changed_clips"] == 0


def test_a_clip_that_is_not_the_one_in_the_corpus_is_never_given_up(fr):
    """Neither while a part of it is there, nor once the corpus names what is there."""
    first = fr.clips / fr.names[0]
    original, few = first.read_bytes(), "fr_from_nr.max_failure_rate=1,fr_from_nr.max_attempts=1"
    fr.ingest()
    for size in (100, 200):
        first.write_bytes(original[:size])
        fr.run(few)
        (failed,) = pd.read_csv(fr.failures).to_dict("records")
        assert (failed["reason"], failed["attempts"], failed["given_up"]) == ("changed", 0, False)
        assert "ingest the clip again" in failed["detail"]
    fr.ingest()
    for _ in range(2):
        fr.run(few)
        (failed,) = pd.read_csv(fr.failures).to_dict("records")
        assert (failed["stage"], failed["attempts"], failed["given_up"]) == ("probe", 1, True)
        assert failed["reason"] != "changed"
    first.write_bytes(original)
    fr.ingest()
    fr.run(few)
    assert len(fr.rows()) == 20 and pd.read_csv(fr.failures).empty


def test_rows_of_another_sweep_never_mix_by_default(fr):
    fr.run("fr_from_nr.crf_sweep=18+38,fr_from_nr.limit=1")
    output = fr.run("fr_from_nr.crf_sweep=18+28", ok=False)
    assert "crf_sweep='18 38' (now '18 28')" in output and "Traceback" not in output
    assert "fr_from_nr.on_engine_change=rescore" in output
    fr.run("fr_from_nr.crf_sweep=18+28+40,fr_from_nr.limit=2,fr_from_nr.on_engine_change=mix")
    assert [row["crf"] for row in fr.rows()] == [18, 38, 18, 28, 40]
    fr.run("fr_from_nr.crf_sweep=20+30,fr_from_nr.on_engine_change=rescore")
    assert [row["crf"] for row in fr.rows()] == [20, 30] * 4


@pytest.mark.thorough
def test_the_forks_binary_yields_the_same_rows(fr, tmp_path):
    fr.run("fr_from_nr.limit=2")
    embedded = fr.rows()
    shutil.rmtree(fr.journal)
    binary = write_stand_in(tmp_path / "vmaf")
    fr.run(f"fr_from_nr.limit=2,vmaf.backend=cpu,vmaf.cpu_binary={binary}")
    for row, other in zip(fr.rows(), embedded, strict=True):
        assert row["vmaf_score"] == pytest.approx(other["vmaf_score"], abs=2e-6)
        assert row["encode_size_bytes"] == other["encode_size_bytes"]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (
            "fr_from_nr.crf_sweep=18+18,fr_from_nr.sweep=18,fr_from_nr.strategy=both",
            ["fr_from_nr.sweep is unknown", "fr_from_nr.strategy: 'both'"],
        ),
        ("fr_from_nr.crf_sweep=18+18", ["[18] more than once"]),
        ("fr_from_nr.strategy=loopback,vmaf.backend=cpu", ["loopback scores inside ffmpeg"]),
        ("corpus=/nowhere.jsonl", ["/nowhere.jsonl does not exist"]),
        ("", ["none of the 1 rows of the corpus JSONL names a clip: named are"]),
    ],
)
def test_mistakes_are_refused_before_any_clip_is_touched(fr, params, expected):
    fr.write_corpus(["elsewhere.mp4"])
    output = fr.run(params, ok=False)
    assert all(text in output for text in expected), output
    assert "Traceback" not in output
    assert not list(fr.journal.glob("shard-*"))


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"crf_sweep": []}, "crf_sweep is empty"),
        ({"crf_sweep": "18+99"}, "99. is out of range"),
        ({"crf_sweep": "18+high"}, "valid integer"),
        ({"preset": "quick"}, "no preset 'quick'"),
        ({"encoder": "mpeg4"}, "encoder 'mpeg4' is unknown"),
        ({"encoder": "libsvtav1"}, "libsvtav1 has no preset 'medium'"),
        ({"threads": 0}, "threads"),
    ],
)
def test_blocks_that_validation_refuses(block, expected):
    with pytest.raises(ValidationError, match=expected):
        FrParameters.model_validate(block)


def test_presets_that_are_numbers_are_taken_as_yaml_has_them():
    block = FrParameters.model_validate({"encoder": "libsvtav1", "preset": 8, "crf_sweep": [30]})
    assert (block.preset, block.crf_sweep) == ("8", (30,))


def test_two_rows_of_one_clip_are_refused():
    corpus = pd.DataFrame([{"src": "a.mp4", "mos": 3.0}, {"src": "a.mp4", "mos": 4.0}])
    with pytest.raises(InputError, match=r"row 2: a second row of a\.mp4"):
        read_corpus(corpus)
    with pytest.raises(InputError, match="has no row"):
        read_corpus(pd.DataFrame())
    with pytest.raises(InputError, match="without src"):
        read_corpus(pd.DataFrame([{"name": "a.mp4"}]))


def test_sample_makes_fr_rows_from_nothing(project):
    params = "sample.seconds=0.2,fr_from_nr.crf_sweep=25+40,fr_from_nr.preset=ultrafast"
    project.kedro("run", "--env=sample", "--pipeline=fr_from_nr", f"--params={params}")
    data = project.root / "data/sample"
    taken_in = (data / "02_intermediate/konvid_150k.jsonl").read_text().splitlines()
    lines = (data / "05_model_input/k150k_fr_corpus.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    hashes = {row["src"]: row["src_sha256"] for row in map(json.loads, taken_in)}
    assert len(hashes) >= 12 and {row["src"]: row["src_sha256"] for row in rows} == hashes
    assert len(rows) == 2 * len(hashes)
    assert {row["pix_fmt"] for row in rows} == {"yuv420p", "yuv420p10le"}
