"""A plain folder on a network disk that has neither locks nor memory maps."""

from __future__ import annotations

import pytest

from tests.support.network_disk import environment, network_disk_server, refusals


@pytest.mark.thorough
def test_extract_needs_neither_locks_nor_maps(project, tiny_clips, tmp_path):
    project.add_clips(tiny_clips)
    project.run()
    expected = project.features.read_bytes()
    disk, log = project.root / "data/disk", tmp_path / "log"
    places = {"out": disk / "full.parquet", "journal": disk / "journal", "report": disk / "r.json"}
    params = ",".join(f"{name}={path}" for name, path in places.items())
    run = [*project.extract(params=params), "--runner=SequentialRunner"]
    for done in (0, 8):
        call = network_disk_server().start(run, project.root, environment(disk, log))
        assert call.wait() == 0, call.output()
        assert f"{done} done" in call.output()
        assert call.output().count("this file system has no locks") == 5
        assert (disk / "full.parquet").read_bytes() == expected
    found = refusals(log)
    assert [what for what, _ in found if what == "map"] == []
    assert {name for _, name in found} == {
        "run.lock", ".full.parquet.lock", ".full.data_card.md.lock", ".r.json.lock",
        ".r.html.lock",
    }  # fmt: skip
