"""Both strategies yield the same rows; the rows are those of the reference run."""

from __future__ import annotations

import csv
import functools
import itertools

import numpy as np
import pytest

from k150k_pipeline.media.probe import probe
from k150k_pipeline.schemas.fr import CANONICAL_6, FR_COLUMNS
from k150k_pipeline.schemas.fr_parameters import CRF_SWEEP
from k150k_pipeline.schemas.parameters import VmafParameters
from tests.fr_from_nr.conftest import CLIPS, numbers, rows_of_clip
from tests.support.binaries import write_stand_in

VMAF_SLACK = 0.05
"""How far vmaf may fall when the CRF does, where an encode is nearly perfect either way."""


@pytest.mark.sample(every=3)
@pytest.mark.parametrize("name", [name.split(".")[0] for name in CLIPS])
def test_loopback_and_stepwise_yield_the_same_rows(clips, name):
    loopback = rows_of_clip(clips[name], strategy="loopback")
    stepwise = rows_of_clip(clips[name], strategy="stepwise")
    assert numbers(loopback) == numbers(stepwise)
    assert [row["crf"] for row in loopback] == [18, 28, 38]
    assert tuple(loopback[0]) == FR_COLUMNS


@pytest.mark.sample(every=5)
@pytest.mark.parametrize(
    ("encoder", "preset", "sweep"),
    [
        ("libx265", "ultrafast", (18, 38)),
        ("libsvtav1", "12", (20, 55)),
        ("libvpx-vp9", "8", (20, 55)),
    ],
)
@pytest.mark.parametrize("name", ["eight_bit", "hdr"])
def test_every_encoder(clips, encoder, preset, sweep, name):
    options = {"encoder": encoder, "preset": preset, "sweep": sweep}
    loopback = rows_of_clip(clips[name], strategy="loopback", **options)
    assert numbers(loopback) == numbers(rows_of_clip(clips[name], strategy="stepwise", **options))
    assert loopback[0]["encode_size_bytes"] > loopback[1]["encode_size_bytes"]
    assert loopback[0]["encoder_version"]
    assert loopback[0]["enc_internal_qp_mean"] == 0.0


@pytest.mark.parametrize("backend", ["cpu", "cuda"])
def test_forks_binary_yields_the_same_rows(clips, tmp_path, backend):
    binary = write_stand_in(tmp_path / "vmaf", cuda=backend == "cuda")
    vmaf = VmafParameters(backend=backend, **{f"{backend}_binary": binary})
    rows = rows_of_clip(clips["ten_bit"], vmaf=vmaf)
    for row, embedded in zip(rows, rows_of_clip(clips["ten_bit"]), strict=True):
        scored = [f"{f}_{s}" for f in CANONICAL_6 for s in ("mean", "std")] + ["vmaf_score"]
        for key in scored:
            assert row[key] == pytest.approx(embedded[key], abs=2e-6)
        assert row["encode_size_bytes"] == embedded["encode_size_bytes"]
        assert row["vmaf_binary_version"] == "3.0.0"


def test_quality_and_rate_fall_as_the_crf_rises(clips):
    rows = rows_of_clip(clips["eight_bit"], sweep=(5, 18, 28, 38, 51))
    for better, worse in itertools.pairwise(rows):
        assert better["bitrate_kbps"] > worse["bitrate_kbps"]
        assert better["vmaf_score"] > worse["vmaf_score"] - VMAF_SLACK
        assert better["enc_internal_qp_mean"] < worse["enc_internal_qp_mean"]
    assert rows[0]["vmaf_score"] > rows[-1]["vmaf_score"] + 20


def test_order_of_the_sweep_is_the_order_of_the_rows(clips):
    rows = rows_of_clip(clips["eight_bit"], sweep=(38, 18, 28))
    assert [row["crf"] for row in rows] == [38, 18, 28]
    by_crf = sorted(numbers(rows), key=lambda row: row["crf"])
    assert by_crf == numbers(rows_of_clip(clips["eight_bit"]))


def test_frames_of_equal_size_keep_their_own_statistics(clips):
    """Of a flat clip all encodes have frames of the same few bytes."""
    loopback, stepwise = (
        rows_of_clip(clips["flat"], sweep=(51, 48, 50, 49), strategy=strategy)
        for strategy in ("loopback", "stepwise")
    )
    assert numbers(loopback) == numbers(stepwise)
    qps = {row["crf"]: row["enc_internal_qp_mean"] for row in loopback}
    assert [qps[crf] for crf in (48, 49, 50, 51)] == sorted(set(qps.values()))


def test_ten_bit_and_hdr_stay_what_they_are(clips, tmp_path):
    (row,) = rows_of_clip(clips["hdr"], sweep=(30,), keep_encodes=True, encode_dir=tmp_path)
    assert row["pix_fmt"] == "yuv420p10le"
    assert (row["hdr_transfer"], row["hdr_primaries"]) == ("smpte2084", "bt2020")
    kept = probe(tmp_path / "hdr_libx264_veryfast_crf30.h264")
    assert kept.pix_fmt == "yuv420p10le"
    (sdr,) = rows_of_clip(clips["ten_bit"], sweep=(30,))
    assert (sdr["hdr_transfer"], sdr["hdr_primaries"], sdr["hdr_forced"]) == ("", "", False)


def test_odd_sides_lose_their_last_line(clips):
    (row,) = rows_of_clip(clips["odd_444"], sweep=(30,))
    assert (row["width"], row["height"], row["pix_fmt"]) == (128, 96, "yuv420p")


def test_rate_and_length(clips):
    (row,) = rows_of_clip(clips["odd_rate"], sweep=(30,))
    assert row["framerate"] == pytest.approx(30000 / 1001)
    assert row["duration_s"] == pytest.approx(12 * 1001 / 30000)
    expected = row["encode_size_bytes"] * 8 / 1000 / row["duration_s"]
    assert row["bitrate_kbps"] == pytest.approx(expected)
    (single,) = rows_of_clip(clips["one_frame"], sweep=(30,))
    assert single["duration_s"] == 0.04 and single["motion2_std"] == 0.0


def test_bits_in_the_log_of_x264_make_up_the_encode(clips):
    for row in rows_of_clip(clips["eight_bit"]):
        bits = row["enc_internal_bits_mean"] * 10
        assert bits == pytest.approx(8 * row["encode_size_bytes"])
        assert 0 < row["enc_internal_intra_ratio"] <= 1
        assert row["enc_internal_qp_std"] > 0


SHARED_CLIPS = ("orig_9000000003_540_5s.mp4", "orig_9000000004_540_5s.mp4")


@functools.cache
def _shared_rows(folder, name, strategy, threads):
    path = folder / "clips/k150ka_extracted" / name
    return rows_of_clip(path, sweep=CRF_SWEEP, preset="medium", strategy=strategy, threads=threads)


@pytest.mark.thorough
@pytest.mark.shared
@pytest.mark.parametrize("name", SHARED_CLIPS)
def test_rows_of_real_clips_are_those_of_the_reference_run(shared, name):
    with (shared / "golden/fr_from_nr.csv").open() as file:
        golden = [row for row in csv.DictReader(file) if row["clip_name"] == name]
    rows = _shared_rows(shared, name, "loopback", threads=3)
    assert [int(row["crf"]) for row in golden] == [row["crf"] for row in rows]
    columns = [f"{f}_{s}" for s in ("mean", "std") for f in CANONICAL_6]
    for row, expected in zip(rows, golden, strict=True):
        assert row["vmaf_score"] == pytest.approx(float(expected["vmaf_mean"]), abs=0.05)
        ours = [row[column] for column in columns]
        np.testing.assert_allclose(ours, [float(expected[c]) for c in columns], atol=1e-3)


@pytest.mark.thorough
@pytest.mark.shared
def test_strategies_agree_on_a_real_clip(shared):
    """With one thread: with more, the end of an x264 encode depends on timing now and then."""
    loopback, stepwise = (
        _shared_rows(shared, SHARED_CLIPS[0], strategy, threads=1)
        for strategy in ("loopback", "stepwise")
    )
    assert numbers(loopback) == numbers(stepwise)
