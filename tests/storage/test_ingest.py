"""Ingest with its drop in a store: labels from there, downloads to there, and the same corpus."""

from __future__ import annotations

import json

import pytest

from tests.end_to_end.test_ingest import SMALL, ingest, site
from tests.support.object_store import SECRET, write_credentials

__all__ = ["ingest", "site"]


def rows(text: bytes) -> list[dict]:
    """Return the rows of a corpus without when they were made."""
    parsed = [json.loads(line) for line in text.splitlines()]
    return [{k: v for k, v in row.items() if k != "ingested_at_utc"} for row in parsed]


def params(bucket, **others: object) -> str:
    places = {
        "drop": bucket.url("drop"),
        "corpus": bucket.url("corpus.jsonl"),
        "ingest_journal": bucket.url("ingest_journal"),
        "ingest_report": bucket.url("reports/ingest.json"),
        "ingest_failures": bucket.url("reports/ingest.csv"),
        **others,
    }
    return ",".join([SMALL, *(f"{name}={value}" for name, value in places.items())])


@pytest.fixture
def in_store(ingest, bucket, store):
    """Return a project of ingest that may use the bucket."""
    write_credentials(ingest.project.root, store.endpoint)
    return ingest


@pytest.mark.thorough
def test_downloads_go_into_the_store_and_the_corpus_is_the_same(in_store, site, bucket):
    in_store.write_manifest(site.urls)
    in_store.run()
    bucket.put("drop/manifest.csv", (in_store.drop / "manifest.csv").read_bytes())
    output = in_store.project.kedro("run", "--pipelines=ingest", f"--params={params(bucket)}")
    assert rows(bucket.get("corpus.jsonl")) == rows(in_store.corpus.read_bytes())
    for name, path in site:
        assert bucket.get(f"drop/clips/{name}") == path.read_bytes()
    states = json.loads(bucket.get("drop/.download-progress.json"))
    assert states == in_store.states()
    assert not [path for path in bucket.copies() if ".mp4" in path.name]
    written = {key: bucket.get(key) for key in bucket.listing() if not key.startswith("drop/")}
    for name, data in {**written, "log": output.encode()}.items():
        assert b"k150k_store" not in data and SECRET.encode() not in data, name
    asked = len(site.server.requests)
    again = in_store.project.kedro("run", "--pipelines=ingest", f"--params={params(bucket)}")
    assert "8 done; 0 to download, 0 to probe" in again
    assert len(site.server.requests) == asked


@pytest.mark.thorough
def test_from_a_drop_in_a_store_to_features_and_encodes(in_store, tiny_clips, bucket):
    in_store.project.add_clips(tiny_clips)
    bucket.put_clips(in_store.project.clips, "drop/k150ka_extracted")
    bucket.put("drop/k150ka_scores.csv", in_store.project.scores.read_bytes())
    extract = {"out": bucket.url("full.parquet"), "journal": bucket.url("journal")}
    both = params(bucket, **{**extract, "extract.verify_clips": 0})
    in_store.project.kedro("run", f"--params={both}")
    assert len(rows(bucket.get("corpus.jsonl"))) == 8
    made = in_store.project.root / "local.parquet"
    local = f"{SMALL},extract.verify_clips=0,out={made}"
    in_store.project.kedro("run", f"--params={local}")
    assert bucket.get("full.parquet") == made.read_bytes()
    sweep = {
        "drop": bucket.url("drop"), "corpus": bucket.url("corpus.jsonl"),
        "out": bucket.url("fr.jsonl"), "journal": bucket.url("fr_journal"),
        "table": bucket.url("fr.parquet"), "fr_from_nr.crf_sweep": "[35]", "fr_from_nr.limit": 2,
    }  # fmt: skip
    joined = ",".join(f"{name}={value}" for name, value in sweep.items())
    in_store.project.kedro("run", "--pipelines=fr_from_nr", f"--params={joined}")
    assert len(bucket.get("fr.jsonl").splitlines()) == 2
    assert not [path for path in bucket.copies() if ".mp4" in path.name]
