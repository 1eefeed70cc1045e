"""The stand-in for the fork's binary is worth as much as it resembles the fork."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.binaries import write_stand_in
from tests.support.stand_in_vmaf import KEYS
from tests.support.waiting import HANG_GUARD_S

SIZE = 256
FRAMES = 2


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_noise(tmp_path / "video.yuv", seed=0)


@pytest.mark.shared
def test_log_has_the_keys_of_the_fork_and_its_constants(
    tmp_path: Path, video: Path, shared: Path
) -> None:
    golden = json.loads((shared / "golden/fork_identity_first6frames.json").read_text())
    ours = log_of(tmp_path, video, video, *KEYS, model=True)
    theirs = golden["frames"][0]["metrics"]
    constant = {key for key in theirs if key.startswith(("psnr", "float", "ssim", "ciede"))}
    for number, metrics in enumerate(ours):
        assert metrics.keys() == theirs.keys(), number
        assert {key: metrics[key] for key in constant} == {key: theirs[key] for key in constant}


def test_scores_of_a_real_pair_are_real(tmp_path: Path, video: Path) -> None:
    other = write_noise(tmp_path / "other.yuv", seed=1)
    for metrics in log_of(tmp_path, video, other, "psnr", "float_ssim", "ciede"):
        assert 5 < metrics["psnr_y"] < 20
        assert metrics["float_ssim"] < 0.5
        assert metrics["ciede2000"] is not None


def test_ssimulacra2_of_a_real_pair_is_not_invented(tmp_path: Path, video: Path) -> None:
    other = write_noise(tmp_path / "other.yuv", seed=1)
    result = run(tmp_path, video, other, "ssimulacra2")
    assert result.returncode == 1
    assert "identity pairs alone" in result.stderr


@pytest.mark.parametrize("extractor", ["motion_v3", "adm_cuda", "cambi=eotf=pq"])
def test_cpu_build_refuses_what_it_does_not_have(
    tmp_path: Path, video: Path, extractor: str
) -> None:
    result = run(tmp_path, video, video, extractor)
    assert result.returncode not in (0, 1)
    assert extractor in result.stderr


def test_wrong_size_is_refused(tmp_path: Path, video: Path) -> None:
    video.write_bytes(video.read_bytes()[:-1])
    assert run(tmp_path, video, video, "psnr").returncode == 2


def test_version_is_in_the_identity(tmp_path: Path) -> None:
    binary = write_stand_in(tmp_path / "vmaf", version="3.0.0")
    result = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    assert result.stderr == "3.0.0\n"


def write_noise(path: Path, seed: int) -> Path:
    shape = FRAMES * SIZE * SIZE * 3 // 2
    noise = np.random.default_rng(seed).integers(16, 235, shape, dtype=np.uint8)
    path.write_bytes(noise.tobytes())
    return path


def log_of(
    folder: Path, reference: Path, distorted: Path, *extractors: str, model: bool = False
) -> list[dict[str, Any]]:
    result = run(folder, reference, distorted, *extractors, model=model)
    assert result.returncode == 0, result.stderr
    frames = json.loads((folder / "log.json").read_text())["frames"]
    assert [frame["frameNum"] for frame in frames] == list(range(FRAMES))
    return [frame["metrics"] for frame in frames]


def run(
    folder: Path, reference: Path, distorted: Path, *extractors: str, model: bool = False
) -> subprocess.CompletedProcess[str]:
    command = [
        write_stand_in(folder / "vmaf"), "-r", reference, "-d", distorted,
        "-w", str(SIZE), "-h", str(SIZE), "-p", "420", "-b", "8", "--threads", "1",
        *(["--model", "version=vmaf_v0.6.1"] if model else ["--no_prediction"]),
        *(argument for name in extractors for argument in ("--feature", name)),
        "--json", "--output", folder / "log.json", "--quiet", "--no_cuda", "--no_sycl",
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_GUARD_S)
