"""What a drop, its journal and its progress file can come to between two runs of ingest."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from k150k_pipeline.datasets import AtomicJSONLinesDataset
from k150k_pipeline.errors import InputError
from k150k_pipeline.journal import Journal
from k150k_pipeline.pipelines.clipwise import add_up
from k150k_pipeline.pipelines.ingest import nodes
from k150k_pipeline.schemas.ingest import DownloadParameters, IngestParameters
from tests.conftest import encode
from tests.download.conftest import QUICK
from tests.support.http_server import Reply, ScriptedServer

SHARDS = 3


class Drop:
    """A K150K-A drop, or a manifest, taken in by the nodes themselves."""

    def __init__(self, root: Path, clips: Path) -> None:
        self.path = root / "drop"
        self.clips = self.path / "k150ka_extracted"
        self.corpus = root / "corpus.jsonl"
        self.journal = Journal(root / "journal", self.corpus)
        self.sources = sorted(clips.glob("*.mp4"))
        self.clips.mkdir(parents=True)

    def add(self, *names: str) -> None:
        """Give each name a clip of its own and a label."""
        for name, source in zip(names, self.sources, strict=False):
            shutil.copy(source, self.clips / name)
        self.label(*names)

    def label(self, *names: str) -> None:
        rows = "".join(f"{name},3.5\n" for name in names)
        (self.path / "k150ka_scores.csv").write_text(f"video_name,video_score\n{rows}")

    def write_manifest(self, **urls: str) -> None:
        rows = "".join(f"{name},{url},3.5\n" for name, url in urls.items())
        (self.path / "manifest.csv").write_text(f"name,url,mos\n{rows}")

    def take_in(self, **parameters: Any) -> dict[str, Any]:
        """Run every node of the pipeline; return the report."""
        download = DownloadParameters(**QUICK)
        ingest = IngestParameters(**{"min_rows": 1, "download": download, **parameters})
        labels = nodes.read_drop(self.path, ingest)
        plan = nodes.plan_ingest(labels, self.path, self.journal, ingest)
        fetched = nodes.fetch_clips(plan, labels, self.path, self.journal, ingest)
        probed = [
            nodes.probe_shard(plan, labels, self.journal, ingest, shard=shard, shards=SHARDS)
            for shard in range(SHARDS)
        ]
        rows, failures, report, merged = nodes.merge_ingest(
            plan, labels, self.path, self.journal, ingest, add_up(fetched, *probed)
        )
        AtomicJSONLinesDataset(filepath=str(self.corpus)).save(rows)
        _, page, *_ = nodes.account_for_labels(merged, labels, self.journal, ingest)
        assert "cannot be drawn" not in page
        self.plan = plan
        self.failures = {r.clip_name: (r.stage, r.reason) for r in failures.itertuples()}
        return report

    def rows(self) -> dict[str, dict[str, Any]]:
        rows = map(json.loads, self.corpus.read_text("utf-8").splitlines())
        return {row["src"]: row for row in rows}


@pytest.fixture
def drop(tmp_path, tiny_clips):
    return Drop(tmp_path, tiny_clips)


@pytest.fixture
def server():
    with ScriptedServer() as server:
        yield server


def test_latest_facts_count_whichever_shard_found_them(drop):
    drop.add("a.mp4", "b.mp4", "c.mp4")
    drop.take_in()
    before = drop.rows()
    shutil.copy(drop.sources[5], drop.clips / "c.mp4")  # probed by the third shard, now the first
    drop.take_in()
    assert drop.rows()["c.mp4"]["src_sha256"] != before["c.mp4"]["src_sha256"]
    drop.take_in()
    assert drop.plan.probe == []


def test_a_clip_that_breaks_loses_its_row_and_is_reported(drop):
    drop.add("a.mp4", "b.mp4")
    drop.take_in()
    whole = (drop.clips / "b.mp4").read_bytes()
    (drop.clips / "b.mp4").write_bytes(whole[:-100])
    report = drop.take_in()
    assert list(drop.rows()) == ["a.mp4"] and report["dropped_rows"] == ["b.mp4"]
    assert drop.failures == {"b.mp4": ("probe", "truncated")}
    (drop.clips / "b.mp4").write_bytes(whole)
    drop.take_in()
    assert list(drop.rows()) == ["a.mp4", "b.mp4"] and drop.failures == {}


def test_each_download_that_fails_is_a_warning(drop, server, caplog):
    drop.write_manifest(a=server.url("/gone"))
    drop.take_in()
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert warnings[0].startswith("a.mp4: download: not_found: HTTP 404 Not Found")


def test_last_reason_counts_whichever_shard_found_it(drop, server):
    drop.write_manifest(a=server.url("/gone"), b=server.at("/b", Reply(drop.sources[0])))
    drop.take_in()
    assert drop.failures == {"a.mp4": ("download", "not_found")}
    (drop.path / "clips/a.mp4").write_bytes(drop.sources[1].read_bytes()[:-100])
    drop.take_in()
    assert drop.failures == {"a.mp4": ("probe", "truncated")}


def test_clips_of_any_suffix_are_found_again(drop, server, tmp_path):
    clip = encode(tmp_path / "clip.webm", "testsrc2=s=64x64:d=0.2", "-c:v", "libvpx")
    drop.write_manifest(**{"a.webm": server.at("/a", Reply(clip)), "b": server.url("/gone")})
    for _ in range(2):
        drop.take_in()
        assert drop.rows()["a.webm"]["encoder_upstream"] == "vp8"
    assert len(server.asked("/a")) == 1


def test_a_link_that_leads_nowhere_is_no_clip(drop):
    drop.add("a.mp4")
    drop.label("a.mp4", "b.mp4")
    (drop.clips / "b.mp4").symlink_to("/nowhere/b.mp4")
    assert drop.take_in()["labels_without_clip"] == ["b.mp4"]
    assert list(drop.rows()) == ["a.mp4"]


def test_a_pipe_is_no_clip(drop):
    drop.add("a.mp4")
    os.mkfifo(drop.clips / "b.mp4")
    drop.label("a.mp4", "b.mp4")
    assert drop.take_in()["labels_without_clip"] == ["b.mp4"]


def test_a_drop_without_any_clip_is_refused(drop):
    drop.label("a.mp4", "b.mp4")
    with pytest.raises(InputError, match=r"none of the 2 labelled clips.*k150ka_extracted"):
        drop.take_in()
    assert drop.take_in(probe="none")["counts"]["rows"] == 2
    drop.add("a.mp4")
    drop.take_in()
    (drop.clips / "a.mp4").unlink()
    assert drop.take_in()["counts"]["rows"] == 1


@pytest.mark.parametrize(
    "state", [b'{"a.mp4": {"state": "failed", "reason": null}}', b'{"a.mp4": "done"}', b"\xff"]
)
def test_a_progress_file_that_was_edited_badly_is_named(drop, server, state):
    drop.write_manifest(a=server.url("/gone"))
    (drop.path / ".download-progress.json").write_bytes(state)
    with pytest.raises(InputError, match=r"progress.json is not a download-progress file"):
        drop.take_in()


def test_a_progress_file_that_cannot_be_written_or_read_is_named(drop, server):
    drop.write_manifest(a=server.url("/gone"))
    with pytest.raises(InputError, match=r"drop cannot be read: Is a directory"):
        drop.take_in(progress_path=drop.path)
    nowhere = drop.path / "manifest.csv/progress.json"
    with pytest.raises(
        InputError, match=r"lock .*manifest.csv/\.?progress.json.* cannot be written"
    ):
        drop.take_in(progress_path=nowhere)
    (drop.path / "clips").mkdir()
    shutil.copy(drop.sources[0], drop.path / "clips/a.mp4")
    with pytest.raises(InputError, match=r"cannot be written: .*ingest.progress_path"):
        drop.take_in(progress_path=nowhere)


@pytest.mark.parametrize(
    "answer",
    [b"599 \xff\x1b[2J\r\n", b"200 OK\r\nContent-Encoding: \xff\r\n"],
)
def test_what_a_server_says_in_no_text_ends_no_run(drop, server, answer):
    url = server.at("/a", Reply(raw=b"HTTP/1.1 " + answer + b"Content-Length: 0\r\n\r\n"))
    drop.write_manifest(a=url, b=server.at("/b", Reply(drop.sources[0])))
    drop.take_in()
    assert list(drop.rows()) == ["b.mp4"]
    reason = json.loads((drop.path / ".download-progress.json").read_text())["a.mp4"]["reason"]
    assert reason.isprintable() and "\N{REPLACEMENT CHARACTER}" in reason


def test_parts_of_other_downloads_stay(drop):
    drop.add("a.mp4")
    other = drop.clips / "b.mp4.part"
    other.write_bytes(b"somebody else's")
    drop.take_in()
    assert other.exists()


@pytest.mark.parametrize("damage", [b'{"src": "\xff', b"[]\n", b'{"src": 1}\n', b"\0"])
def test_a_corpus_that_was_damaged_is_made_again(drop, damage):
    drop.add("a.mp4")
    drop.take_in()
    whole = drop.corpus.read_bytes()
    drop.corpus.write_bytes(whole + damage)
    drop.take_in()
    assert drop.corpus.read_bytes() == whole


def test_a_time_that_is_none_is_not_kept(drop):
    drop.add("a.mp4")
    drop.take_in()
    row = drop.rows()["a.mp4"]
    drop.corpus.write_text(json.dumps({**row, "ingested_at_utc": "yesterday"}))
    drop.take_in()
    assert drop.rows()["a.mp4"] == row
    past = {**row, "ingested_at_utc": "2019-01-01T00:00:00+00:00"}
    drop.corpus.write_text(json.dumps(past))
    drop.take_in()
    assert drop.rows()["a.mp4"] == past


def test_clips_of_unknown_completeness_are_in_the_report(drop, tmp_path):
    """A stream without sizes, and half of it: both have a row, and both are named."""
    drop.add("sound.mp4")
    live = encode(
        tmp_path / "live.webm",
        "testsrc2=s=128x96:r=10:d=2",
        *("-c:v", "libvpx", "-g", "5", "-pix_fmt", "yuv420p", "-live", "1"),
    ).read_bytes()
    (drop.clips / "live.webm").write_bytes(live)
    (drop.clips / "half.webm").write_bytes(live[: live.rindex(b"\x1f\x43\xb6\x75")])
    (drop.clips / "torn.webm").write_bytes(live[: len(live) // 2])
    drop.label("sound.mp4", "live.webm", "half.webm", "torn.webm")
    for integrity in ("header", "decode", "decode"):
        report = drop.take_in(integrity=integrity)
        assert report["completeness_unknown"] == ["half.webm", "live.webm"]
        assert report["counts"]["completeness_unknown"] == 2
        assert "2 clips of unknown completeness: half.webm; live.webm" in report["summary"]
        assert drop.failures == {"torn.webm": ("probe", "truncated")}
    [entry] = {e.payload_json for e in drop.journal.entries() if e.clip == "sound.mp4"}
    assert b"doubt" not in entry
