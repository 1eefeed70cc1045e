"""Shards that run by themselves over one plan, as in the array of a batch system."""

from __future__ import annotations

import json

import pytest

from k150k_pipeline.journal.lock import RunLock, held

SHARDS = 2
PARAMS = f"extract.shards={SHARDS}"


@pytest.fixture
def planned(project, tiny_clips):
    project.add_clips(tiny_clips)
    project.run("--to-nodes=extract.verify", params=PARAMS)
    return project


def shard(number: int) -> str:
    return f"--nodes=extract.score.shard_{number:04d}"


def test_shards_share_a_journal_and_the_merge_has_the_rows_of_a_whole_run(planned):
    merge = "--from-nodes=extract.score.add_up"
    with held(RunLock(planned.journal / "run.lock", shared=True)):  # as another shard does
        planned.run(shard(0), params=PARAMS)
        assert "another run is working" in planned.run(params=PARAMS, ok=False)
    assert "tally_0001.json does not exist" in planned.run(merge, params=PARAMS, ok=False)
    planned.run(shard(1), params=PARAMS)
    planned.run(merge, params=PARAMS)
    rows = planned.features.read_bytes()
    assert len(planned.table()) == 8
    planned.features.unlink()
    assert "8 done" in planned.run(params=PARAMS)
    assert planned.features.read_bytes() == rows


def test_one_shard_does_not_run_twice_at_a_time_nor_beside_a_whole_run(planned):
    with held(RunLock(planned.journal / "run/.tally_0000.json.lock")):
        assert "another run is working" in planned.run(shard(0), params=PARAMS, ok=False)
        planned.run(shard(1), params=PARAMS)
    with held(RunLock(planned.journal / "run.lock")):
        assert "another run is working" in planned.run(shard(0), params=PARAMS, ok=False)


def test_new_plan_misses_the_tallies_of_the_one_before(planned):
    planned.run(shard(0), params=PARAMS)
    assert (planned.journal / "run/tally_0000.json").exists()
    planned.run("--to-nodes=extract.verify", params=PARAMS)
    assert not (planned.journal / "run/tally_0000.json").exists()


def test_shard_on_a_machine_that_scores_otherwise_is_refused(planned):
    path = planned.journal / "run/plan.json"
    plan = json.loads(path.read_text())
    version = plan["scoring"]["version"]
    plan["scoring"]["version"] = "another"
    path.write_text(json.dumps(plan))
    output = planned.run(shard(0), params=PARAMS, ok=False)
    assert "does not score as the run was planned" in output
    assert f"version='{version}' (planned 'another')" in output and "Traceback" not in output
    assert not list(planned.journal.glob("shard-*"))
