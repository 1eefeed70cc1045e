"""Extract with clips, labels, journal and outputs in a store: what the local run makes."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import zlib

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import KEDRO, run_to_end
from tests.support.fault_proxy import Asked, Fault, FaultProxy
from tests.support.object_store import SECRET, write_credentials

BROKEN = "a clip, ünd broken.mp4"


@pytest.fixture
def both(project, tiny_clips, bucket, store):
    """Run extract on the disk, and return the project with all of its inputs in a bucket too."""
    names = [*project.add_clips(tiny_clips), BROKEN]
    (project.clips / BROKEN).write_bytes(b"no clip")
    project.write_scores({name: 1 + i / 5 for i, name in enumerate(names)})
    write_credentials(project.root, store.endpoint)
    bucket.put_clips(project.clips)
    bucket.put("clips/", b"")  # as a console makes a folder
    bucket.put("scores.csv", project.scores.read_bytes())
    return project


def test_same_bytes_as_the_local_run(both, bucket):
    both.run(params="extract.max_failure_rate=1")
    output = both.run(params=bucket.params(**{"extract.max_failure_rate": 1}))
    assert bucket.get("out/full.parquet") == both.features.read_bytes()
    assert bucket.get("out/full.done") == both.done.read_bytes()
    card = both.features.with_name("full_features_k150k.data_card.md")
    assert bucket.get("out/full.data_card.md") == card.read_bytes()
    local = both.failures.read_text().replace(str(both.clips), bucket.url("clips"))
    remote = bucket.get("reports/failures.csv").decode()
    assert remote.partition(": [")[0] == local.partition(": [")[0]  # tools quote paths as they like
    assert f"k150ka_features: {bucket.url('out/full.parquet')}" in output
    _nothing_says_too_much(both, bucket, output)
    assert not [path for path in bucket.copies() if path.suffix == ".mp4"]
    again = both.run(params=bucket.params(**{"extract.max_failure_rate": 1}))
    assert "8 done, 1 due" in again
    assert bucket.get("out/full.parquet") == both.features.read_bytes()


def _nothing_says_too_much(project, bucket, output):
    """Check that neither the secret nor a path of a copy is in any output, log or copy."""
    written = {key: bucket.get(key) for key in bucket.listing() if not key.startswith("clips")}
    written |= {str(path): path.read_bytes() for path in bucket.copies()}
    written["the log"] = output.encode()
    for name, data in written.items():
        assert SECRET.encode() not in data, name
        assert b"k150k_store" not in data, name
    assert project.root.joinpath("conf/local/credentials.yml").read_text().count(SECRET) == 1


FAULTS = ("500", "503", "reset", "lost", "slow", "cut", "flip", "stall")


def some(seed: int, share: int):
    """Return what spoils the first try of each so-many-th request, with each kind of fault."""
    taken = itertools.count()

    def choose(asked: Asked) -> Fault | None:
        draw = zlib.crc32(f"{seed}{asked.method}{asked.path}".encode())
        if asked.before or draw % share:
            return None
        return FAULTS[next(taken) % len(FAULTS)]

    return choose


@pytest.mark.thorough
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.thorough) for n in range(1, 8))]
)
def test_faults_of_the_store_change_no_byte(both, bucket, store, seed):
    both.run(params="extract.max_failure_rate=1")
    with FaultProxy(store.endpoint, some(seed, 3)) as proxy:
        write_credentials(both.root, proxy.endpoint, config_kwargs={"read_timeout": 1})
        both.run(params=bucket.params(**{"extract.max_failure_rate": 1, "store.lease_s": 600}))
    assert proxy.faults.total() >= 20 and set(proxy.faults) >= {*FAULTS} - {"flip"}
    assert bucket.get("out/full.parquet") == both.features.read_bytes()
    assert bucket.get("out/full.done") == both.done.read_bytes()


@pytest.mark.thorough
def test_clip_that_never_comes_is_reported_apart_and_scored_later(both, bucket, store):
    with FaultProxy(store.endpoint, lambda a: "503" if "orig_0003" in a.path else None) as proxy:
        write_credentials(both.root, proxy.endpoint)
        params = bucket.params(
            **{"store.patience_s": 0.5, "extract.max_attempts": 1, "extract.max_failure_rate": 1}
        )
        output = both.run(params=params, ok=False)
        assert "1 clips have no row because their store did not give them" in output
        failures = pd.read_csv(io.BytesIO(bucket.get("reports/failures.csv")))
        counted = failures.set_index("clip_name")[["reason", "attempts", "given_up"]]
        assert counted.loc["orig_0003_540_5s.mp4"].tolist() == ["not_fetched", 0, False]
        assert counted.loc[BROKEN].tolist() == ["not_media", 1, True]
        proxy.choose = lambda _: None
        both.run(params=params)
    assert len(pd.read_parquet(io.BytesIO(bucket.get("out/full.parquet")))) == 8


@pytest.mark.thorough
def test_replaced_clip_is_scored_again_and_a_copied_one_is_not(both, bucket):
    params = bucket.params(**{"extract.max_failure_rate": 1})
    both.run(params=params)
    first, second, third = sorted(both.clips.glob("orig*"))[:3]
    bucket.put(f"clips/{first.name}", second.read_bytes())
    bucket.put(f"clips/{third.name}", third.read_bytes())
    output = both.run(params=params)
    assert f"1 ({first.name}) of the clips are not the files" in output
    assert "7 done, 2 due" in output
    table = pd.read_parquet(io.BytesIO(bucket.get("out/full.parquet"))).set_index("clip_name")
    assert table.loc[first.name].iloc[1:].equals(table.loc[second.name].iloc[1:])


def test_object_that_is_not_ours_is_kept(both, bucket):
    foreign = pa.table({"clip_name": ["x.mp4"], "colour": ["red"]})
    sink = io.BytesIO()
    pq.write_table(foreign, sink)
    bucket.put("out/full.parquet", sink.getvalue())
    bucket.put("reports/report.html", b"<html>mine</html>")
    bucket.put("out/full.data_card.md", b"# mine")
    values = {"extract.max_failure_rate": 1, "extract.legacy": "take_over_what_fits"}
    both.run(params=bucket.params(**values))
    assert bucket.get("out/full.parquet.original") == sink.getvalue()
    assert bucket.get("reports/report.html.original") == b"<html>mine</html>"
    assert bucket.get("out/full.data_card.md.original") == b"# mine"
    assert len(pd.read_parquet(io.BytesIO(bucket.get("out/full.parquet")))) == 8


@pytest.mark.thorough
def test_default_runner_and_no_copies_of_earlier_runs(both, bucket):
    both.run(params="extract.max_failure_rate=1")
    params = bucket.params(**{"extract.max_failure_rate": 1})
    both.run(params=params, default_runner=True)
    shutil.rmtree(bucket.scratch / f"k150k_store_{os.getuid()}")
    output = both.run(params=params)
    assert "8 done" in output
    assert bucket.get("out/full.parquet") == both.features.read_bytes()
    assert "done 8, failed attempts 2" in both.kedro("extract-status", "--params", params)


@pytest.mark.thorough
def test_cluster_makes_the_same_bytes(both, bucket):
    both.run(params="extract.max_failure_rate=1")
    params = bucket.params(**{"extract.max_failure_rate": 1})
    runner = "--runner=k150k_pipeline.runners.DaskRunner"
    status, output = run_to_end([*KEDRO, *both.extract(runner, params=params)], both.root)
    assert status == 0, output
    assert bucket.get("out/full.parquet") == both.features.read_bytes()
    _nothing_says_too_much(both, bucket, output)
