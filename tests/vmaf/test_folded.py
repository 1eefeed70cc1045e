"""The folded model: where it comes from, and that it is the six-feature model."""

from __future__ import annotations

import importlib.util
import json
import runpy
import subprocess
from pathlib import Path

import numpy as np

from k150k_pipeline.media.ffmpeg import find_ffmpeg
from k150k_pipeline.vmaf.folded import load_folded_model
from k150k_pipeline.vmaf.log import parse_log, select_features
from tests.conftest import CHECKOUT, encode


def test_shipped_model_is_what_the_script_makes():
    wheel = importlib.util.find_spec("ffmpeg_quality_metrics")
    source = Path(wheel.origin).parent / "vmaf_models/vmaf_v0.6.1.json"
    fold = runpy.run_path(str(CHECKOUT / "scripts/fold_vmaf_model.py"))["fold"]
    remade = json.loads(json.dumps(fold(source.read_bytes())))
    shipped = json.loads(load_folded_model().model_dump_json())
    np.testing.assert_allclose(remade.pop("coefficients"), shipped.pop("coefficients"), rtol=1e-12)
    assert remade == shipped


def test_values_known_from_the_reference_binary():
    motion2 = np.array([0.0, 0.260376, 1.8636, 50.0])
    vmaf = load_folded_model().predict(motion2)
    np.testing.assert_allclose(vmaf[:2], [97.427198, 97.789623], atol=2e-4)
    np.testing.assert_allclose(vmaf[2], 100.0, atol=1e-3)
    assert vmaf[3] == 100.0


def test_agrees_with_the_engine_on_filmed_motion(tmp_path):
    source = "mandelbrot=s=480x270:r=25:end_scale=0.01:end_pts=200"
    clip = encode(tmp_path / "clip.mp4", source, "-t", "1", "-pix_fmt", "yuv420p")
    graph = "[0:v]split[a][b];[a][b]libvmaf=log_fmt=json:log_path=/dev/stdout"
    command = [
        find_ffmpeg(),
        "-v",
        "error",
        "-i",
        clip,
        "-filter_complex",
        graph,
        "-f",
        "null",
        "-",
    ]
    log = subprocess.run(command, check=True, capture_output=True).stdout
    values = select_features(parse_log(log)[1], ("motion2", "vmaf"))
    folded = load_folded_model().predict(values["motion2"])
    np.testing.assert_allclose(folded, values["vmaf"], atol=3e-3)
