"""Each mistake in place, credentials or rights: one sentence in a bounded time."""

from __future__ import annotations

import os
import pickle
import tempfile

import pytest

from k150k_pipeline.datasets import AtomicCSVDataset, ClipFolderDataset, ModelSetDataset
from k150k_pipeline.errors import InputError
from k150k_pipeline.journal.lock import held, lock_at
from k150k_pipeline.storage import connection, in_words, place, settings, url_of
from tests.support.fault_proxy import FaultProxy
from tests.support.object_store import KEY, SECRET, write_credentials

IMPATIENT = {"store.patience_s": 1}


@pytest.fixture
def ready(project, tiny_clips, bucket, store):
    """Return a project whose labels and two clips are in a bucket."""
    names = project.add_clips(tiny_clips)[:2]
    for name in names:
        bucket.put(f"clips/{name}", (project.clips / name).read_bytes())
    bucket.put("scores.csv", project.scores.read_bytes())
    write_credentials(project.root, store.endpoint)
    return project


def said(project, params: str) -> str:
    """Return what a run that is refused says last, after checking that it is one sentence."""
    output = project.run(params=params, ok=False)
    assert "Traceback" not in output and SECRET not in output
    assert "k150k_store" not in output
    return output[output.index("Error: ") :]


def test_nobody_at_the_endpoint(ready, bucket):
    write_credentials(ready.root, "http://127.0.0.1:9")
    text = said(ready, bucket.params(**IMPATIENT))
    assert "has not answered as it should for 1 seconds" in text and "endpoint_url" in text


def test_wrong_credentials(ready, bucket, store):
    with FaultProxy(store.endpoint, lambda _: "403") as proxy:
        write_credentials(ready.root, proxy.endpoint)
        text = said(ready, bucket.params(**IMPATIENT))
    assert "is refused by its store" in text and "conf/local/credentials.yml" in text


def test_clips_may_not_be_listed(ready, bucket, store):
    with FaultProxy(store.endpoint, lambda a: "403" if "prefix=clips" in a.path else None) as proxy:
        write_credentials(ready.root, proxy.endpoint)
        text = said(ready, bucket.params(**IMPATIENT))
    assert f"{bucket.url('clips')} is refused by its store" in text


def test_bucket_that_does_not_exist(ready, bucket):
    text = said(ready, bucket.params(clips_dir="s3://no-such-bucket/clips"))
    assert text.startswith("Error: s3://no-such-bucket/clips: there is no such bucket")
    text = said(ready, bucket.params(out="s3://no-such-bucket/o.parquet"))
    assert "s3://no-such-bucket/" in text and "there is no such bucket" in text


def test_url_without_a_key_and_a_model_set_in_a_store(ready, bucket):
    text = said(ready, bucket.params(out="s3://"))
    assert "s3:// names no object of a store: write it as scheme://bucket/key" in text
    with pytest.raises(InputError, match="must be a path of this machine"):
        ModelSetDataset(filepath="s3://bucket/models")


def test_wrong_limit(ready, bucket):
    text = said(ready, bucket.params(**{"store.lease_s": 1}))
    assert "store.lease_s" in text and "from 5 to 3600" in text


def test_second_run_on_an_output_is_refused_by_the_name_of_the_first(ready, bucket, monkeypatch):
    monkeypatch.setenv("K150K_LEASES", "{}")
    lock = lock_at(place(bucket.url("journal/run.lock")))
    with held(lock):
        text = said(ready, bucket.params())
    assert text.startswith(f"Error: another run is working on this output: process {os.getpid()} ")
    ready.run(params=bucket.params())


def test_labels_that_do_not_exist(ready, bucket):
    text = said(ready, bucket.params(scores=bucket.url("none.csv")))
    assert text.startswith(
        f"Error: k150ka_scores: {bucket.url('none.csv')} does not exist: put it there"
    )


@pytest.mark.thorough
def test_store_that_goes_away_in_the_middle(ready, bucket, store):
    with FaultProxy(store.endpoint) as proxy:
        write_credentials(ready.root, proxy.endpoint)
        proxy.choose = lambda a: (
            "reset" if any("/shard-" in each.path for each in proxy.requests) else None
        )
        text = said(ready, bucket.params(**IMPATIENT))
    assert "has not answered as it should for 1 seconds" in text
    write_credentials(ready.root, store.endpoint)
    ready.run(params=bucket.params())


def test_broken_credentials_file(ready, bucket):
    (ready.root / "conf/local/credentials.yml").write_text(f"s3: {{secret: {SECRET}")
    text = said(ready, bucket.params())
    assert "has credentials that cannot be read: correct its credentials.yml" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("s3://", "names no object of a store"),
        ("s3:///", "names no object of a store"),
        ("s3://bucket/../key", "names no object of a store"),
        ("S 3://bucket/key", "names no object of a store"),
        (f"s3://{KEY}:{SECRET}@bucket/key", "has credentials in it"),
    ],
)
def test_url_that_cannot_be_used(text, words):
    with pytest.raises(InputError, match=words) as refused:
        place(text)
    assert SECRET not in str(refused.value)


def test_places(tmp_path):
    assert str(place("/a/b")) == "/a/b" and url_of(place("/a/b")) is None
    assert place(f"file://{tmp_path}/b c") == tmp_path / "b c" and str(place("a//b")) == "a/b"
    for url in ("s3://bucket/a b/ü.mp4", "gs://bucket/x"):
        assert url_of(place(url)) == url
        assert in_words(f"{place(url)}: no") == f"{url}: no"
        assert in_words(f"look at ({place(url).with_name('y')})").endswith("/y)")
    assert url_of(place("s3://bucket/a//b/")) == "s3://bucket/a/b"


def test_path_means_the_same_object_on_a_machine_with_other_folders(monkeypatch, tmp_path):
    """A dataset is pickled for workers, which may be elsewhere."""
    path = place("s3://bucket/a b/full.parquet")
    below = pickle.dumps([path, path.parent / "x", path.with_suffix(".done")])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = pickle.loads(below)
    urls = ["s3://bucket/a b/full.parquet", "s3://bucket/a b/x", "s3://bucket/a b/full.done"]
    assert [url_of(each) for each in found] == urls
    assert all(each.is_relative_to(tmp_path) for each in found)


def test_scheme_that_is_not_there(monkeypatch):
    monkeypatch.setattr(connection, "_file_systems", {})
    with pytest.raises(InputError, match="nonsense:// cannot be used: "):
        ClipFolderDataset(path="nonsense://bucket/clips").load().names()
    with pytest.raises(Exception, match="gs:// needs a package that is not installed"):
        AtomicCSVDataset(filepath="gs://bucket/scores.csv").load()


def test_credentials_of_a_bucket_come_before_those_of_its_scheme(monkeypatch):
    known = {"s3": {"key": "general"}, "s3://mine": {"key": "special"}}
    monkeypatch.setattr(settings, "_readers", [lambda: known])
    assert settings.credentials_of("s3", "mine")["key"] == "special"
    assert settings.credentials_of("s3", "other")["key"] == "general"
    assert settings.credentials_of("gs", "other") == {}
    monkeypatch.setattr(settings, "_readers", [lambda: {"s3": SECRET}])
    with pytest.raises(InputError, match="the entry s3 of") as refused:
        settings.credentials_of("s3", "mine")
    assert SECRET not in str(refused.value)
