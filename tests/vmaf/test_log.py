"""What is read from libvmaf's log, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from k150k_pipeline.errors import ClipError
from k150k_pipeline.vmaf.log import Frames, merge_passes, parse_log, select_features

Metrics = dict[str, Any]


def test_version_and_frames_are_read() -> None:
    text = log({"cambi": 1.5}, {"cambi": 2.5})
    assert parse_log(text) == ("3.0.0", {0: {"cambi": 1.5}, 1: {"cambi": 2.5}})
    assert parse_log(text.encode()) == parse_log(text)


def test_log_without_a_version_has_an_empty_one() -> None:
    document = json.loads(log({"cambi": 1.5}))
    del document["version"]
    assert parse_log(json.dumps(document))[0] == ""


def test_frames_are_put_in_order() -> None:
    text = numbered((2, {"cambi": 3.0}), (0, {"cambi": 1.0}), (1, {"cambi": 2.0}))
    values = select_features(parse_log(text)[1], ["cambi"])
    np.testing.assert_array_equal(values["cambi"], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("numbers", [(0, 2), (1, 2), (0, 0), (0, 1, 1), (-1, 0)])
def test_frame_numbers_with_a_gap_or_twice_are_refused(numbers: tuple[int, ...]) -> None:
    text = numbered(*((number, {"cambi": 1.0}) for number in numbers))
    assert refused(text).reason == "bad_log"


def test_log_cut_off_anywhere_is_refused() -> None:
    text = log({"cambi": 1.0, "integer_motion": 0.5}, {"cambi": 1.0, "integer_motion": None})
    for end in range(len(text)):
        assert refused(text[:end]).reason == "bad_log"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no log",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"frames": null}',
        b'{"frames": 3}',
        b'{"frames": [1]}',
        b'{"frames": [{"metrics": {}}]}',
        b'{"frames": [{"frameNum": 0}]}',
        b'{"frames": [{"frameNum": "x", "metrics": {}}]}',
        b'{"frames": [{"frameNum": null, "metrics": {}}]}',
        b'{"error": "feature pinned to inactive backend", "exit_code": 100}',
    ],
)
def test_what_is_not_libvmafs_log_is_refused(text: bytes) -> None:
    assert refused(text).reason == "bad_log"


@pytest.mark.parametrize("metrics", ["null", "3", '{"cambi": "banded"}', '{"cambi": [1]}'])
def test_metrics_that_are_not_numbers_by_name_are_refused(metrics: str) -> None:
    text = f'{{"frames": [{{"frameNum": 0, "metrics": {metrics}}}]}}'
    with pytest.raises(ClipError) as caught:
        select_features(parse_log(text)[1], ["cambi"])
    assert caught.value.stage == "score"


@pytest.mark.parametrize("second", ["1.0", "2.0", "null"])
def test_key_twice_on_a_frame_is_refused_even_with_one_value(second: str) -> None:
    text = log({"cambi": 1.0}).replace('"cambi": 1.0', f'"cambi": 1.0, "cambi": {second}')
    error = refused(text)
    assert error.reason == "duplicate_feature"
    assert "cambi" in error.detail


def test_the_same_key_on_two_frames_is_no_duplicate() -> None:
    assert len(parse_log(log({"cambi": 1.0}, {"cambi": 1.0}))[1]) == 2


def test_null_becomes_nan() -> None:
    _, frames = parse_log(log({"ciede2000": None}, {"ciede2000": 30.5}))
    values = select_features(frames, ["ciede2000"])["ciede2000"]
    np.testing.assert_array_equal(values, [np.nan, 30.5])
    assert values.dtype == np.float64


def test_numbers_keep_every_digit() -> None:
    _, frames = parse_log(log({"integer_adm2": 1.0000004174574204}))
    assert select_features(frames, ["adm2"])["adm2"][0] == 1.0000004174574204


def test_feature_on_no_frame_is_refused() -> None:
    error = unselectable({0: {"cambi": 1.0}}, "adm2")
    assert "no adm2" in error.detail


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_feature_absent_from_one_frame_is_refused(missing: int) -> None:
    frames: Frames = {number: {"cambi": 1.0, "psnr_y": 60.0} for number in range(3)}
    del frames[missing]["cambi"]
    assert "cambi" in unselectable(frames, "cambi").detail


def test_feature_under_two_names_on_two_frames_is_refused() -> None:
    unselectable({0: {"integer_motion2": 1.0}, 1: {"motion2": 1.0}}, "motion2")


def test_log_of_no_frame_has_no_feature() -> None:
    _, frames = parse_log(log())
    unselectable(frames, "cambi")


@pytest.mark.parametrize(
    ("feature", "metrics"),
    [
        ("adm2", {"adm2": 0.5, "integer_adm2": 1.0}),
        ("vif_scale3", {"integer_vif_scale3": 1.0, "vif_scale3": 0.5}),
        (
            "motion",
            {"motion": 0.5, "VMAF_integer_feature_motion_sad_score": 0.7, "integer_motion": 1.0},
        ),
        ("motion", {"motion": 0.5, "VMAF_integer_feature_motion_sad_score": 1.0}),
        ("motion", {"VMAF_integer_feature_motion_v2_sad_score": 0.5, "motion": 1.0}),
        ("motion2", {"VMAF_integer_feature_motion_sad_score": 0.5, "integer_motion2": 1.0}),
        ("psnr_y", {"psnr_y": 1.0}),
        ("vmaf", {"vmaf": 1.0, "vmaf_neg": 0.5}),
    ],
)
def test_integer_names_come_before_plain_ones(feature: str, metrics: Metrics) -> None:
    assert select_features({0: metrics}, [feature])[feature].tolist() == [1.0]


@pytest.mark.parametrize("key", ["cambi_eotf_pq", "integer_cambi_mfw_0.5", "Cambi"])
def test_key_renamed_by_an_option_is_another_feature(key: str) -> None:
    unselectable({0: {key: 1.0}}, "cambi")


def test_passes_are_merged_by_frame_number() -> None:
    first: Frames = {0: {"cambi": 1.0}, 1: {"cambi": 2.0}}
    second: Frames = {1: {"float_ssim": 0.9}, 0: {"float_ssim": 0.8}}
    assert merge_passes(first, second) == {
        0: {"cambi": 1.0, "float_ssim": 0.8},
        1: {"cambi": 2.0, "float_ssim": 0.9},
    }
    assert first == {0: {"cambi": 1.0}, 1: {"cambi": 2.0}}


@pytest.mark.parametrize("others", [(), (0,), (0, 1, 2), (0, 2)])
def test_passes_over_other_frames_are_not_merged(others: tuple[int, ...]) -> None:
    first: Frames = {0: {"cambi": 1.0}, 1: {"cambi": 2.0}}
    second: Frames = {number: {"float_ssim": 1.0} for number in others}
    assert unmergeable(first, second).reason == "frame_count"


@pytest.mark.parametrize("value", [1.0, 7.0, None])
def test_key_from_both_passes_is_refused_whatever_its_values(value: float | None) -> None:
    first: Frames = {0: {"cambi": 1.0}, 1: {"cambi": 1.0}}
    second: Frames = {0: {"float_ssim": 1.0}, 1: {"float_ssim": 1.0, "cambi": value}}
    error = unmergeable(first, second)
    assert error.reason == "duplicate_feature"
    assert "frame 1" in error.detail
    assert "cambi" in error.detail


def log(*frames: Metrics) -> str:
    return numbered(*enumerate(frames))


def numbered(*frames: tuple[int, Metrics]) -> str:
    rows = [{"frameNum": number, "metrics": metrics} for number, metrics in frames]
    return json.dumps({"version": "3.0.0", "fps": 3.12, "frames": rows})


def refused(text: bytes | str) -> ClipError:
    with pytest.raises(ClipError) as caught:
        parse_log(text)
    assert caught.value.stage == "score"
    return caught.value


def unselectable(frames: Frames, feature: str) -> ClipError:
    with pytest.raises(ClipError) as caught:
        select_features(frames, [feature])
    assert (caught.value.stage, caught.value.reason) == ("score", "missing_feature")
    return caught.value


def unmergeable(first: Frames, second: Frames) -> ClipError:
    with pytest.raises(ClipError) as caught:
        merge_passes(first, second)
    assert caught.value.stage == "score"
    return caught.value
