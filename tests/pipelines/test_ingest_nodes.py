"""What a drop, its journal and its progress file can come to between two runs of ingest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from k150k_pipeline.datasets import AtomicJSONLinesDataset
from k150k_pipeline.journal import Journal
from k150k_pipeline.pipelines.clipwise.wiring import add_up
from k150k_pipeline.pipelines.ingest import nodes
from k150k_pipeline.schemas.ingest import DownloadParameters, IngestParameters
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
        rows, failures, report, _ = nodes.merge_ingest(
            plan, labels, self.path, self.journal, ingest, add_up(fetched, *probed)
        )
        AtomicJSONLinesDataset(filepath=str(self.corpus)).save(rows)
        nodes.account_for_labels(report, labels, self.journal, ingest)
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
    assert drop.plan["probe"] == []


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


def test_last_reason_counts_whichever_shard_found_it(drop, server):
    drop.write_manifest(a=server.url("/gone"), b=server.at("/b", Reply(drop.sources[0])))
    drop.take_in()
    assert drop.failures == {"a.mp4": ("download", "not_found")}
    (drop.path / "clips/a.mp4").write_bytes(drop.sources[1].read_bytes()[:-100])
    drop.take_in()
    assert drop.failures == {"a.mp4": ("probe", "truncated")}
