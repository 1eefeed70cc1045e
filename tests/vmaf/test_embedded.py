"""The embedded engine against frames decoded by PyAV and motion computed in numpy."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from k150k_pipeline.errors import ClipError, EngineError
from k150k_pipeline.media.ffmpeg import find_ffmpeg
from k150k_pipeline.media.probe import probe
from k150k_pipeline.schemas.features import FEATURES
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf import Engine, make_engine
from k150k_pipeline.vmaf.plans import FULL, IDENTITY
from k150k_pipeline.vmaf.verify import compare_plans

Luma = npt.NDArray[np.int64]


def decoded_luma(path: Path) -> list[Luma]:
    """Decode with PyAV, which neither rotates nor pads, and return the luma planes."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [luma_plane(frame) for frame in frames]


def luma_plane(frame: av.VideoFrame) -> Luma:
    plane = frame.planes[0]
    wide = frame.format.components[0].bits > 8
    samples = np.frombuffer(bytes(plane), dtype=np.uint16 if wide else np.uint8)
    rows = samples.reshape(plane.height, plane.line_size // samples.itemsize)
    return rows[:, : plane.width].astype(np.int64)


def motion_scores(frames: list[Luma], bits: int) -> npt.NDArray[np.float64]:
    """Return libvmaf's integer motion by its definition: SAD of blurred frames per pixel."""
    blurred = [blur(frame, bits) for frame in frames]
    sads = [np.abs(a - b).sum() / 256 / a.size for a, b in itertools.pairwise(blurred)]
    return np.array([0.0, *sads])


def blur(luma: Luma, bits: int) -> Luma:
    kernel = (3571, 16004, 26386, 16004, 3571)
    padded = np.pad(luma, ((2, 2), (0, 0)), mode="reflect")
    height = luma.shape[0]
    vertical = sum(k * padded[i : i + height] for i, k in enumerate(kernel))
    vertical = (vertical + (1 << (bits - 1))) >> bits
    padded = np.pad(vertical, ((0, 0), (2, 2)), mode="reflect")
    width = luma.shape[1]
    horizontal = sum(k * padded[:, i : i + width] for i, k in enumerate(kernel))
    return (horizontal + (1 << 15)) >> 16


def check_against_pyav(engine: Engine, path: Path) -> int:
    clip = probe(path)
    score = engine.score(clip, IDENTITY)
    frames = decoded_luma(path)
    assert score.frames == len(frames)
    assert (clip.height, clip.width) == frames[0].shape
    np.testing.assert_allclose(
        score.values["motion"], motion_scores(frames, clip.bit_depth), atol=2e-5
    )
    check_edges(score.values)
    return score.frames


def check_edges(values: dict[str, npt.NDArray[np.float64]]) -> None:
    """Check how motion2 and motion3 follow from motion at both ends of a clip."""
    motion, motion2 = values["motion"], values["motion2"]
    following = np.append(motion[1:], motion[-1])
    np.testing.assert_allclose(motion2, np.minimum(motion, following), atol=2e-6)
    np.testing.assert_allclose(values["motion3"][1:], motion2[1:], atol=2e-6)


def test_plain_clip(engine, make_clip):
    assert check_against_pyav(engine, make_clip()) == 9


def test_ten_bit(engine, make_clip):
    path = make_clip("-pix_fmt", "yuv420p10le")
    check_against_pyav(engine, path)
    values = engine.score(probe(path), IDENTITY).values
    assert set(values["psnr_y"]) == {72.0}


def test_rotation_tag_is_not_applied(engine, make_clip, tmp_path):
    upright = make_clip(source="testsrc2=s=480x256:r=30:d=0.3")
    tagged = tmp_path / "tagged.mp4"
    subprocess.run(
        [
            find_ffmpeg(),
            "-v",
            "error",
            "-display_rotation",
            "90",
            "-i",
            upright,
            "-c",
            "copy",
            tagged,
        ],
        check=True,
    )
    check_against_pyav(engine, tagged)
    assert (probe(tagged).width, probe(tagged).height) == (480, 256)
    assert scored(engine, tagged) == scored(engine, upright)


def scored(engine: Engine, path: Path) -> dict[str, list[float]]:
    values = engine.score(probe(path), IDENTITY).values
    return {f: values[f].tolist() for f in ("cambi", "motion", "motion2", "motion3", "vmaf")}


def test_variable_frame_rate_is_not_padded(engine, make_clip):
    path = make_clip(
        "-vf", "select='lt(n,10)+not(mod(n,7))'", "-fps_mode", "vfr",
        source="testsrc2=s=320x240:r=30:d=2",
    )  # fmt: skip
    assert check_against_pyav(engine, path) == 10 + 7


def test_frames_with_one_timestamp_are_all_scored(engine, make_clip):
    path = make_clip(
        "-vf", "setpts='floor(N/3)/30/TB'", "-fps_mode", "passthrough", "-bf", "0",
        "-enc_time_base", "1/30", source="testsrc2=s=320x240:r=30:d=0.4", name="clip.nut",
    )  # fmt: skip
    assert check_against_pyav(engine, path) == 12


def test_odd_dimensions(engine, make_clip):
    path = make_clip(
        "-c:v", "ffv1", "-pix_fmt", "yuv420p", source="testsrc2=s=321x243:r=30:d=0.1", name="c.mkv"
    )
    check_against_pyav(engine, path)
    clip = probe(path)
    identity, full = engine.score(clip, IDENTITY), engine.score(clip, FULL)
    assert compare_plans(identity, full) == []
    for feature in ("cambi", "motion", "motion2", "motion3"):
        np.testing.assert_array_equal(identity.values[feature], full.values[feature])


def test_chroma_of_444_is_brought_to_420_and_luma_kept(engine, make_clip):
    check_against_pyav(engine, make_clip("-pix_fmt", "yuv444p"))


def test_one_frame(engine, make_clip):
    path = make_clip("-frames:v", "1")
    assert check_against_pyav(engine, path) == 1
    values = engine.score(probe(path), IDENTITY).values
    assert values["motion"].tolist() == values["motion2"].tolist() == [0.0]


@pytest.mark.parametrize("pix_fmt", ["yuvj420p", "yuvj444p"])
def test_full_range_samples_keep_their_values(engine, make_clip, pix_fmt):
    path = make_clip("-vf", "scale=out_range=pc", "-pix_fmt", pix_fmt)
    assert probe(path).full_range
    check_against_pyav(engine, path)


def test_picture_size_that_changes_within_a_clip_is_refused(engine, make_clip, tmp_path):
    raw = ("-f", "h264")
    small = make_clip(*raw, name="a.h264").read_bytes()
    large = make_clip(*raw, source="testsrc2=s=480x360:r=30:d=0.3", name="b.h264").read_bytes()
    path = tmp_path / "both.h264"
    path.write_bytes(small + large)
    with pytest.raises(ClipError) as caught:
        engine.score(probe(path), IDENTITY)
    assert (caught.value.stage, caught.value.reason) == ("decode", "format_change")


def test_truncated_clip_is_refused(engine, make_clip, tmp_path):
    whole = make_clip("-movflags", "+faststart", source="testsrc2=s=320x240:r=30:d=2").read_bytes()
    path = tmp_path / "half.mp4"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ClipError) as caught:
        engine.score(probe(path), IDENTITY)
    assert (caught.value.stage, caught.value.reason) == ("probe", "truncated")


def test_edit_list_is_honoured(engine, make_clip, tmp_path):
    whole = make_clip("-g", "30", source="testsrc2=s=320x240:r=30:d=1")
    cut = tmp_path / "cut.mp4"
    subprocess.run(
        [find_ffmpeg(), "-v", "error", "-ss", "0.5", "-i", whole, "-c", "copy", cut], check=True
    )
    with av.open(str(cut)) as container:
        shown = sum(1 for _ in container.decode(video=0))
    assert shown < probe(cut).frames
    assert engine.score(probe(cut), IDENTITY).frames == shown


def test_name_with_colons_quotes_and_spaces(engine, make_clip, tmp_path):
    path = tmp_path / "a 'b': [c];d,#e%03d.mp4"
    make_clip().rename(path)
    assert engine.score(probe(path), IDENTITY).frames == 9


def test_identity_agrees_with_full(engine, make_clip):
    clip = probe(make_clip("-frames:v", "4"))
    identity, full = engine.score(clip, IDENTITY), engine.score(clip, FULL)
    assert tuple(identity.values) == tuple(full.values) == FEATURES
    assert compare_plans(identity, full) == []
    assert np.isnan(full.values["ciede2000"]).all()


def test_values_do_not_depend_on_threads(make_clip):
    path = make_clip()
    one, three = (make_engine(VmafParameters(backend="embedded", threads=n)) for n in (1, 3))
    assert scored(one, path) == scored(three, path)


def test_small_clip_keeps_empty_columns(engine, make_clip):
    clip = probe(make_clip(source="testsrc2=s=128x96:r=30:d=0.2"))
    values = engine.score(clip, IDENTITY).values
    assert np.isnan(values["cambi"]).all()
    assert np.isnan(values["float_ms_ssim"]).all()
    assert values["motion"][1:].min() > 0


def test_time_limit(make_clip):
    engine = make_engine(VmafParameters(backend="embedded", clip_timeout_s=0.001))
    with pytest.raises(ClipError, match="timeout"):
        engine.score(probe(make_clip()), IDENTITY)


def test_engine_returns_its_identity(engine):
    identity = engine.identify()
    assert identity.backend == "embedded"
    assert identity.version and identity.libvmaf and identity.version in identity.decoder


def test_ffmpeg_that_cannot_score_is_refused(tmp_path):
    other = tmp_path / "ffmpeg"
    other.write_text("#!/bin/sh\necho 'ffmpeg version 4.0'\nexit 1\n")
    other.chmod(0o755)
    with pytest.raises(EngineError, match="ffmpeg"):
        make_engine(VmafParameters(ffmpeg=other)).identify()
