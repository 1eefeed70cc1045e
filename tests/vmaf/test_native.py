"""The native engine against the embedded one, and the C library against itself."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from k150k_pipeline.errors import ClipError, EngineError
from k150k_pipeline.media.probe import probe
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf import Engine, core, native
from k150k_pipeline.vmaf.native import NativeEngine
from k150k_pipeline.vmaf.plans import FULL, IDENTITY
from tests.conftest import MakeClip

try:
    SETS = core.instruction_sets()
except EngineError as error:
    pytest.skip(str(error), allow_module_level=True)

MEASURED = ("cambi", "motion", "motion2", "motion3")
Picture = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

BANDS = "gradients=s=640x360:c0=black:c1=0x303030:x0=0:y0=0:x1=640:y1=360:r=25:d=0.2:speed=0.1"
DARK = "color=0x101010:s=320x240:r=25:d=0.2,noise=alls=6:allf=t,boxblur=4"
CLIPS = {
    "test picture": ("testsrc2=s=320x240:r=25:d=0.2", "yuv420p"),
    "bands": (BANDS, "yuv420p"),
    "dark": (DARK, "yuv420p"),
    "mandelbrot": ("mandelbrot=s=480x270:r=25,trim=end_frame=5", "yuv420p"),
    "one colour": ("color=gray:s=256x216:r=25:d=0.2", "yuv420p"),
    "one frame": ("testsrc2=s=320x240:r=25:d=0.04", "yuv420p"),
    "ten bits": (BANDS, "yuv420p10le"),
    "ten bits 4:2:2": ("testsrc2=s=320x240:r=25:d=0.2", "yuv422p10le"),
    "full range": (BANDS, "yuvj420p"),
    "4:4:4, odd": ("testsrc2=s=321x241:r=25:d=0.2", "yuv444p"),
    "wide": ("testsrc2=s=1280x128:r=25:d=0.12", "yuv420p"),
    "tall": ("testsrc2=s=130x400:r=25:d=0.12", "yuv420p"),
    "large": ("testsrc2=s=2560x1440:r=25:d=0.08,gblur=sigma=9", "yuv420p"),
}


@pytest.fixture
def engine_used(monkeypatch) -> Iterator[list[str]]:
    """Return what scored each clip so far."""
    used: list[str] = []
    score = native._score

    def record(*arguments):
        scored = score(*arguments)
        used.append("native")
        return scored

    monkeypatch.setattr(native, "_score", record)
    return used


@pytest.mark.parametrize("name", CLIPS)
def test_values_are_those_of_the_embedded_engine(
    make_clip: MakeClip, engine: Engine, engine_used: list[str], name: str
) -> None:
    source, pixel_format = CLIPS[name]
    options = ("-c:v", "libx264", "-qp", "0") if pixel_format != "yuv420p" else ()
    clip = probe(make_clip("-pix_fmt", pixel_format, *options, source=source))
    scored = NativeEngine(VmafParameters()).score(clip, IDENTITY)
    expected = engine.score(clip, IDENTITY)
    assert engine_used == ["native"]
    assert (scored.frames, scored.whole) == (expected.frames, expected.whole)
    for feature in MEASURED:
        np.testing.assert_allclose(scored.values[feature], expected.values[feature], atol=6e-7)
    np.testing.assert_allclose(scored.values["vmaf"], expected.values["vmaf"], atol=1e-4)


@pytest.mark.parametrize("first", [1, 3, 5, 9])
def test_first_frames(make_clip: MakeClip, engine: Engine, first: int) -> None:
    clip = probe(make_clip(source="testsrc2=s=320x240:r=25:d=0.2"))
    scored = NativeEngine(VmafParameters()).score(clip, IDENTITY, first)
    expected = engine.score(clip, IDENTITY, first)
    assert (scored.frames, scored.whole) == (expected.frames, expected.whole)
    np.testing.assert_allclose(scored.values["motion2"], expected.values["motion2"], atol=6e-7)


@pytest.mark.parametrize(("width", "height"), [(4096, 1996), (4096, 1998)])
def test_pictures_up_to_the_size_that_libvmaf_accepts(
    make_clip: MakeClip, engine: Engine, width: int, height: int
) -> None:
    clip = probe(make_clip(source=f"testsrc2=s={width}x{height}:r=25:d=0.04"))
    found, expected = (outcome(e, clip.path) for e in (NativeEngine(VmafParameters()), engine))
    assert found == expected
    assert (len(found) == 2) is (width + height > 6092)


def test_what_the_library_does_not_score_is_scored_by_the_embedded_engine(
    make_clip: MakeClip, engine: Engine, engine_used: list[str]
) -> None:
    ours = NativeEngine(VmafParameters())
    small = probe(make_clip(source="testsrc2=s=128x96:r=25:d=0.2", name="small.mp4"))
    other = probe(make_clip("-c:v", "ffv1", "-pix_fmt", "gray12le", name="other.mkv"))
    usual = probe(make_clip())
    for clip, plan in ((small, IDENTITY), (other, IDENTITY), (usual, FULL)):
        scored, expected = ours.score(clip, plan), engine.score(clip, plan)
        for feature, values in expected.values.items():
            np.testing.assert_array_equal(scored.values[feature], values)
    assert engine_used == []


@pytest.mark.parametrize("damage", ["zeros", "flips", "cut"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
def test_refusals_are_those_of_the_embedded_engine(
    make_clip: MakeClip, engine: Engine, suffix: str, damage: str
) -> None:
    sound = make_clip(source="mandelbrot=s=320x240:r=25,trim=end_frame=30", name=f"clip.{suffix}")
    content = bytearray(sound.read_bytes())
    for at in range(len(content) // 3, len(content) * 2 // 3, len(content) // 9):
        content[at : at + 40] = (
            bytes(40) if damage == "zeros" else bytes(content[at : at + 40])[::-1]
        )
    if damage == "cut":
        del content[len(content) * 2 // 3 :]
    path = sound.with_name(f"damaged.{suffix}")
    path.write_bytes(content)
    assert outcome(NativeEngine(VmafParameters()), path) == outcome(engine, path)


def outcome(engine: Engine, path: Path) -> tuple[str, ...]:
    """Return the reason of a failure, or the frames and the rounded means."""
    try:
        scored = engine.score(probe(path), IDENTITY)
    except ClipError as error:
        return error.stage, error.reason
    means = (f"{scored.values[feature].mean():.5f}" for feature in MEASURED)
    return str(scored.frames), *means


def planes(picture: Picture, stride: int) -> tuple[ctypes.Array[ctypes.c_char], core.Plane]:
    """Return a copy of a picture in rows of a stride, which may be negative, and its plane."""
    rows = [row.tobytes().ljust(abs(stride), b"\xa5") for row in picture]
    memory = ctypes.create_string_buffer(b"".join(rows if stride > 0 else rows[::-1]))
    first = ctypes.addressof(memory) + (0 if stride > 0 else abs(stride) * (len(rows) - 1))
    return memory, core.Plane(first, stride)


def made_up(draw: np.random.Generator, width: int, height: int, depth: int) -> Picture:
    """Return noise, bands, flat parts or extremes; samples may be beyond the depth."""
    kind = np.uint8 if depth == 8 else np.uint16
    most = 255 if depth == 8 else draw.choice([1023, 65535])
    noise = draw.integers(0, most + 1, (height, width))
    slope = np.add.outer(np.arange(height), np.arange(width)) * draw.uniform(0.001, 0.5)
    return [
        noise,
        slope % most,
        np.where(draw.random((height, width)) < 0.03, noise, draw.integers(0, most + 1)),
        noise // (most // 3),
        np.where(noise > most // 2, most, 0),
    ][draw.integers(5)].astype(kind)


def test_instruction_sets_agree_to_the_bit() -> None:
    draw = np.random.default_rng(11)
    for _ in range(40):
        width, height = int(draw.integers(216, 700)), int(draw.integers(120, 300))
        depth = int(draw.choice([8, 10]))
        stride = int(
            draw.choice([-1, 1]) * (width * depth // 8 // 2 * 2 * 2 + draw.integers(9) * 2)
        )
        pictures = [planes(made_up(draw, width, height, depth), stride) for _ in range(2)]
        results = []
        for number in range(len(SETS)):
            with core.frame_scorer(width, height, depth, number) as scorer:
                assert scorer is not None
                (_, first), (_, second) = pictures
                results.append(
                    [scorer.cambi(first), scorer.cambi(second), scorer.motion(first, second)]
                )
        assert all(result == results[0] for result in results), (width, height, depth, SETS)
        assert np.isfinite(results).all()


@pytest.mark.parametrize(
    ("width", "height", "depth"),
    [
        *[(215, 215, 8), (216, 15, 8), (0, 216, 8), (-5, 300, 8), (20000, 300, 8), (320, 240, 12)],
        (8400, 8400, 8),  # a window would have more pixels than are counted
    ],
)
def test_sizes_and_depths_that_cannot_be_scored_yield_no_scorer(width, height, depth) -> None:
    with core.frame_scorer(width, height, depth) as scorer:
        assert scorer is None


def test_the_largest_windows_are_scored() -> None:
    """One colour and a step in it: no window can have more pixels of one value."""
    picture = np.full((2400, 14399), 100, np.uint8)
    picture[:, 7000:] += 1
    memory, luma = planes(picture, 14399)
    assert memory
    with core.frame_scorer(14399, 2400, 8) as scorer:
        assert scorer is not None
        assert 0 < scorer.cambi(luma) < 10
