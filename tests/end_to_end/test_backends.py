"""The cpu and cuda backends by the command line, with stand-ins for the fork's binaries."""

from __future__ import annotations

import json

import numpy as np
import pytest

from k150k_pipeline.schemas.features import VALUE_COLUMNS
from tests.support.binaries import write_stand_in


@pytest.mark.sample(every=2)
@pytest.mark.parametrize("backend", ["cpu", "cuda"])
def test_backend_yields_the_same_table(project, tiny_clips, tmp_path, backend):
    names = project.add_clips(tiny_clips)
    project.run(params="vmaf.backend=embedded")
    embedded = project.table()
    cpu = write_stand_in(tmp_path / "cpu/vmaf")
    cuda = write_stand_in(tmp_path / "cuda/vmaf", cuda=True)
    own = f"out={tmp_path}/out.parquet,journal={tmp_path}/journal"
    params = f"vmaf.backend={backend},vmaf.cpu_binary={cpu},vmaf.cuda_binary={cuda},{own}"
    project.features = tmp_path / "out.parquet"
    project.run(params=params)
    table = project.table()
    assert table["clip_name"].tolist() == names
    columns = list(VALUE_COLUMNS)
    np.testing.assert_allclose(table[columns], embedded[columns], atol=1e-6)
    scoring = json.loads(project.report.read_text())["scoring"]
    assert (scoring["backend"], scoring["engine"]) == (backend, "vmaf-fork")


def test_binary_without_ssimulacra2_is_refused_before_the_first_clip(project, tiny_clips, tmp_path):
    project.add_clips(tiny_clips)
    binary = write_stand_in(tmp_path / "vmaf", lacks=["ssimulacra2"])
    output = project.run(params=f"vmaf.backend=cpu,vmaf.cpu_binary={binary}", ok=False)
    assert "does not return ssimulacra2" in output and "github.com/lusoris/vmaf" in output
    assert "Traceback" not in output and not list(project.journal.glob("shard-*"))
