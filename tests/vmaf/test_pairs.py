"""Vif and adm of the C library: instruction sets, sizes and addresses, and the model."""

from __future__ import annotations

import ctypes
import os
import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ffmpeg_quality_metrics
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k150k_pipeline.errors import EngineError
from k150k_pipeline.media.raw import RawVideo
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf import core
from k150k_pipeline.vmaf.pair_model import load_pair_model
from k150k_pipeline.vmaf.pairs import make_pair_scorer
from tests.conftest import CHECKOUT

try:
    SETS = core.instruction_sets()
except EngineError as error:
    pytest.skip(str(error), allow_module_level=True)

LEAST = 225


def plane(picture: np.ndarray) -> core.Plane:
    return core.Plane(picture.ctypes.data, picture.strides[0])


def score(number: int, reference: np.ndarray, *distorted: np.ndarray) -> list[list[float]]:
    height, width = reference.shape
    with core.pair_scorer(width, height, number) as scorer:
        assert scorer is not None
        scorer.set_reference(plane(reference))
        return [scorer.score(plane(picture)) for picture in distorted]


def draw(kind: str, height: int, width: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    if kind == "extremes":
        return (random.integers(0, 2, (height, width)) * 255).astype(np.uint8)
    if kind == "ramp":
        return np.add.outer(np.arange(height), np.arange(width) * 3).astype(np.uint8)
    if kind == "flat":
        return np.full((height, width), seed % 256, np.uint8)
    return random.integers(0, 256, (height, width), np.uint8)


KINDS = st.sampled_from(["noise", "extremes", "ramp", "flat"])


@settings(max_examples=12, deadline=None)
@given(
    st.integers(LEAST, LEAST + 80), st.integers(LEAST, LEAST + 80), KINDS, KINDS, st.integers(0, 99)
)
def test_instruction_sets_agree_to_the_bit(width, height, kind, other, seed):
    pictures = draw(kind, height, width, seed), draw(other, height, width, seed + 1)
    plainest, *others = (score(number, *pictures) for number in range(len(SETS)))
    for found in others:
        np.testing.assert_array_equal(found, plainest)  # NaN is where NaN is
    assert np.isfinite(plainest[0][:4]).all()


HOSTILE = [
    *(("noise", other) for other in ("noise", "extremes", "flat")),
    *(("extremes", other) for other in ("extremes", "ramp", "noise", "opposite")),
    *(("ramp", other) for other in ("opposite", "noise")),
    *(("flat", other) for other in ("flat", "noise", "opposite")),
    ("stripes", "opposite"),
    ("stripes", "noise"),
    ("squares", "opposite"),
    ("squares", "stripes"),
]


def hostile(kind: str, reference: np.ndarray, seed: int) -> np.ndarray:
    y, x = np.indices(reference.shape)
    if kind == "opposite":
        return 255 - reference
    if kind == "stripes":
        return (x // 2 % 2 * 255).astype(np.uint8)
    if kind == "squares":
        return ((x // 8 + y // 8) % 2 * 255).astype(np.uint8)
    return draw(kind, *reference.shape, seed)


@contextmanager
def raw_video(pictures: list[np.ndarray]) -> Iterator[RawVideo]:
    height, width = pictures[0].shape
    chroma = bytes([128]) * (width * height // 2)
    with os.fdopen(os.memfd_create("pictures"), "wb") as file:
        for picture in pictures:
            file.write(picture.tobytes() + chroma)
        file.flush()
        yield RawVideo(file.fileno(), width, height, 8, len(pictures))


@pytest.mark.parametrize(("width", "height"), [(320, 240), (226, 250), (350, 228)])
def test_hostile_pictures_have_the_values_of_the_embedded_engine(width, height):
    blank = np.zeros((height, width), np.uint8)
    references = [hostile(kind, blank, n) for n, (kind, _) in enumerate(HOSTILE)]
    distorted = [hostile(kind, references[n], n + 50) for n, (_, kind) in enumerate(HOSTILE)]
    with raw_video(references) as reference, raw_video(distorted) as other:
        expected = make_pair_scorer(VmafParameters(backend="embedded")).score(reference, other)
    refused = 0
    for n, pair in enumerate(zip(references, distorted, strict=True)):
        (found,) = score(-1, *pair)
        values = [expected[name][n] for name in (*(f"vif_scale{k}" for k in range(4)), "adm2")]
        np.testing.assert_allclose(found[:4], values[:4], atol=1.1e-6, err_msg=str(HOSTILE[n]))
        assert np.isnan(found[4]) or found[4] == pytest.approx(values[4], abs=1.1e-6), HOSTILE[n]
        refused += np.isnan(found[4])
    assert 0 < refused < len(HOSTILE)


@pytest.mark.parametrize("kind", ["noise", "ramp"])
def test_a_picture_is_like_itself(kind):
    picture = draw(kind, 240, 300, 1)
    (scores,) = score(-1, picture, picture)
    assert scores == pytest.approx([1] * 5, abs=2e-4)


def test_a_worse_picture_has_lower_scores():
    reference = draw("noise", 240, 320, 1)
    smooth = (reference.astype(int) + np.roll(reference, 1, axis=1)) // 2
    smoother = (smooth + np.roll(smooth, 2, axis=0)) // 2
    pictures = [picture.astype(np.uint8) for picture in (smooth, smoother)]
    one, other = score(-1, reference, *pictures)
    assert all(0 < worse < better < 1 for better, worse in zip(one, other, strict=True))


def test_scores_do_not_depend_on_what_was_scored_before():
    first, second = draw("ramp", 240, 320, 1), draw("noise", 240, 320, 2) // 2
    fresh = score(-1, second, first)
    with core.pair_scorer(320, 240) as scorer:
        assert scorer is not None
        for reference, distorted in ((first, second), (second, first)):
            scorer.set_reference(plane(reference))
            found = scorer.score(plane(distorted))
    assert [found] == fresh


@pytest.mark.parametrize("backwards", [False, True])
def test_rows_may_lie_anywhere(backwards):
    memory = draw("noise", 241, 400, 5)
    picture = memory[1:, 7:310]
    if backwards:
        picture = picture[::-1]
    (found,) = score(-1, np.ascontiguousarray(picture), picture)
    assert [found] == score(-1, picture, np.ascontiguousarray(picture))


@pytest.mark.parametrize(
    ("width", "height"),
    [(0, 0), (-1, 300), (1, 1), (300, 224), (224, 300), (8193, 300), (300, 8193), (2**31 - 1, 300)],
)
def test_sizes_that_are_not_scored(width, height):
    with core.pair_scorer(width, height) as scorer:
        assert scorer is None


@pytest.mark.parametrize(("width", "height"), [(225, 225), (8192, 225), (225, 8192)])
def test_sizes_at_the_limits(width, height):
    picture = draw("noise", height, width, 3)
    (scores,) = score(-1, picture, picture)
    assert scores == pytest.approx([1] * 5, abs=2e-4)


def test_unusable_instruction_sets_are_refused():
    library = core.load_library()
    assert not library.k150k_pairs_new(320, 240, len(SETS) + 5)
    assert library.k150k_pairs_free(ctypes.c_void_p()) is None


def test_model_is_made_from_the_one_of_the_wheel():
    models = Path(ffmpeg_quality_metrics.__file__).parent / "vmaf_models"
    make = runpy.run_path(str(CHECKOUT / "scripts/fold_vmaf_model.py"))["whole"]
    made = make((models / "vmaf_v0.6.1.json").read_bytes())
    shipped = load_pair_model().model_dump(mode="json")
    assert {key: shipped[key] for key in made} == made
    assert shipped.keys() == made.keys()
