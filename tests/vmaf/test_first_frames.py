"""Scoring that ends after a clip's first frames, and what that must never be mistaken for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from k150k_pipeline.errors import ClipError
from k150k_pipeline.media.ffmpeg import read_evidence
from k150k_pipeline.media.probe import probe
from k150k_pipeline.media.tools import run_tool
from k150k_pipeline.pipelines.feature_extraction.nodes import to_payload
from k150k_pipeline.schemas.features import FEATURES
from k150k_pipeline.vmaf.fork import CpuEngine, CudaEngine
from k150k_pipeline.vmaf.plans import FULL, IDENTITY
from tests.support.waiting import HANG_GUARD_S

FRAMES = 9
ENGINES = pytest.mark.parametrize("kind", ["embedded", CpuEngine, CudaEngine])


@pytest.fixture
def clip(make_clip):
    return probe(make_clip(source=f"testsrc2=s=256x256:r=30:d={FRAMES / 30}"))


@pytest.fixture
def scorer(engine, bench):
    return lambda kind: engine if kind == "embedded" else kind(bench.parameters)


@ENGINES
def test_first_frames_are_those_of_the_whole_clip(scorer, clip, kind):
    whole = scorer(kind).score(clip, IDENTITY)
    head = scorer(kind).score(clip, IDENTITY, 5)
    assert (head.frames, head.whole) == (5, False) and (whole.frames, whole.whole) == (9, True)
    for feature in ("motion", "cambi"):
        np.testing.assert_array_equal(head.values[feature], whole.values[feature][:5])
    # motion2 looks one frame ahead: the last of five is an edge, as the last of nine is.
    np.testing.assert_array_equal(head.values["motion2"][:4], whole.values["motion2"][:4])
    assert head.values["motion2"][4] == head.values["motion"][4]


@ENGINES
def test_both_plans_see_the_same_first_frames(scorer, clip, kind):
    identity, full = (scorer(kind).score(clip, plan, 5) for plan in (IDENTITY, FULL))
    for feature in ("motion", "motion2", "motion3", "cambi"):
        np.testing.assert_array_equal(identity.values[feature], full.values[feature])


@pytest.mark.sample(every=4)
@ENGINES
@pytest.mark.parametrize("first", [FRAMES, FRAMES + 1, 1000])
def test_a_clip_with_no_more_frames_is_scored_to_its_end(scorer, clip, kind, first):
    whole, head = (scorer(kind).score(clip, IDENTITY, n) for n in (None, first))
    assert head.frames == FRAMES and head.whole is (first > FRAMES)
    for feature in FEATURES:
        np.testing.assert_array_equal(head.values[feature], whole.values[feature])


@ENGINES
def test_a_clip_that_lacks_its_end_is_truncated_unless_enough_of_it_is_there(scorer, clip, kind):
    claims_more = replace(clip, frames=FRAMES + 5)
    assert scorer(kind).score(claims_more, IDENTITY, FRAMES).frames == FRAMES
    for first in (None, FRAMES + 1, FRAMES + 5, FRAMES + 6):
        with pytest.raises(ClipError) as caught:
            scorer(kind).score(claims_more, IDENTITY, first)
        assert (caught.value.stage, caught.value.reason) == ("decode", "truncated"), first


@ENGINES
def test_first_frames_are_never_journaled(scorer, clip, kind):
    with pytest.raises(ValueError, match="only the first 5 frames"):
        to_payload(scorer(kind).score(clip, IDENTITY, 5))
    assert to_payload(scorer(kind).score(clip, IDENTITY))["frames"] == FRAMES


def test_what_follows_is_not_decoded(engine, make_clip):
    clip = probe(make_clip(source="testsrc2=s=256x256:r=30:d=10"))
    result = run_tool(engine.command(clip, IDENTITY, 5), timeout_s=HANG_GUARD_S)
    assert clip.frames == 300 and 5 <= read_evidence(clip, result).frames < 100


def test_damage_behind_the_first_frames_does_not_matter_and_before_their_end_it_does(
    engine, make_clip
):
    path = make_clip(source="testsrc2=s=256x256:r=30:d=10,noise=alls=20")
    clip, content = probe(path), path.read_bytes()
    for share, sound in ((0.9, True), (0.02, False)):
        middle = int(len(content) * share)
        path.write_bytes(content[:middle] + bytes(2000) + content[middle + 2000 :])
        if sound:
            assert engine.score(clip, IDENTITY, 30).frames == 30
        with pytest.raises(ClipError):
            engine.score(clip, IDENTITY, None if sound else 30)
