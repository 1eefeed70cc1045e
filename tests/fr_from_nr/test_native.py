"""Encodes scored natively against those that the embedded engine scores, and the way back to it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from k150k_pipeline.errors import ClipError, EngineError
from k150k_pipeline.fr_from_nr import CorpusOptions, NrInputRow, NrToFrAdapter, native_loopback
from k150k_pipeline.fr_from_nr.loopback import Loopback
from k150k_pipeline.fr_from_nr.source import probe_source
from k150k_pipeline.fr_from_nr.sweep import SweepSettings
from k150k_pipeline.media.encode import EncodeSettings
from k150k_pipeline.media.probe import probe
from k150k_pipeline.schemas.fr import SCORED
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf import core, native_pairs
from k150k_pipeline.vmaf.native import UnusualError
from tests.conftest import encode
from tests.fr_from_nr.conftest import numbers

try:
    core.load_library()
except EngineError as error:
    pytest.skip(str(error), allow_module_level=True)

_NOISY = "testsrc2=s=320x240:r=25:d=0.28,noise=alls=12:allf=t"
_FULL_NOISE = "color=gray:s=320x240:r=25:d=0.12,geq=lum='255*gte(random(1),0.5)':cb=128:cr=128"
USUAL = {
    "noisy": (_NOISY, "-pix_fmt", "yuv420p"),
    "bands": ("gradients=s=400x226:c0=black:c1=0x303030:d=0.2", "-pix_fmt", "yuv420p"),
    "one_colour": ("color=gray:s=256x240:r=25:d=0.2", "-pix_fmt", "yuv420p"),
    "one_frame": (_NOISY.replace("d=0.28", "d=0.04"), "-pix_fmt", "yuv420p"),
    "mandelbrot": ("mandelbrot=s=482x272:r=25,trim=end_frame=6", "-pix_fmt", "yuv420p"),
    "cut": (
        "testsrc2=s=320x240:r=25:d=0.2,hue=b='if(gt(n,2),-10,10)'", "-pix_fmt", "yuv420p"
    ),
    "full_noise": (_FULL_NOISE, "-pix_fmt", "yuv420p", "-qp", "0"),
}  # fmt: skip
UNUSUAL = {
    "small": (_NOISY.replace("320x240", "128x96"), "-pix_fmt", "yuv420p"),
    "ten_bit": (_NOISY, "-pix_fmt", "yuv420p10le"),
    "odd": (_NOISY.replace("320x240", "321x241") + ",format=yuv444p",),
    "full_range": (f"{_NOISY},scale=out_range=full", "-pix_fmt", "yuvj420p"),
    "other_codec": (_NOISY, "-pix_fmt", "yuv420p", "-c:v", "mpeg4"),
}
CRFS = (0, 18, 38, 51)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return {
        name: encode(folder / f"{name}.mp4", source, *options)
        for name, (source, *options) in {**USUAL, **UNUSUAL}.items()
    }


@pytest.fixture
def natively(monkeypatch) -> Iterator[list[int]]:
    """Return how many encodes of each clip were scored natively so far."""
    scored: list[int] = []
    score = native_loopback.score_encodes

    def record(clip, encodes):
        values = score(clip, encodes)
        scored.append(len(values))
        return values

    monkeypatch.setattr(native_loopback, "score_encodes", record)
    return scored


@functools.cache
def adapter(backend: str, **options: Any) -> NrToFrAdapter:
    chosen = CorpusOptions(threads=1, **options)
    return NrToFrAdapter(CRFS, "veryfast", options=chosen, vmaf=VmafParameters(backend=backend))


def rows(backend: str, path: Path, **options: Any) -> list[dict[str, Any]]:
    return list(adapter(backend, **options).run(NrInputRow(path.name, path, 3.0)))


def settings(backend: str) -> SweepSettings:
    return SweepSettings(
        crf_sweep=CRFS,
        encode=EncodeSettings("libx264", "veryfast", 1),
        vmaf=VmafParameters(backend=backend),
        scratch_dir=Path("/nonexistent"),
        keep_intermediate_yuv=False,
        encode_dir=None,
    )


@pytest.mark.parametrize("name", USUAL)
def test_every_frame_has_the_values_of_the_embedded_engine(clips, natively, name):
    source = probe_source(clips[name])
    ours = native_loopback.NativeLoopback(settings("native")).sweep(source)
    theirs = Loopback(settings("embedded")).sweep(source)
    assert natively == [len(CRFS)]
    for own, other in zip(ours, theirs, strict=True):
        assert (own.crf, own.evidence) == (other.crf, other.evidence)
        for feature in SCORED:
            # The last digit of the log may differ: powf and exp are those of another C library.
            np.testing.assert_allclose(own.values[feature], other.values[feature], atol=1.1e-6)


@pytest.mark.parametrize("name", ["noisy", "one_frame"])
def test_rows_are_those_of_the_embedded_engine(clips, natively, name):
    ours, theirs = numbers(rows("native", clips[name])), numbers(rows("embedded", clips[name]))
    assert natively == [len(CRFS)]
    assert [row.keys() for row in ours] == [row.keys() for row in theirs]
    for own, other in zip(ours, theirs, strict=True):
        for key, value in other.items():
            assert own[key] == pytest.approx(value, abs=1e-6) if value is not None else own[key], (
                key
            )


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_clip_is_scored_by_the_embedded_engine(clips, natively, name):
    ours = rows("native", clips[name])
    assert numbers(ours) == numbers(rows("embedded", clips[name]))
    assert natively == []


def test_an_encode_of_other_frames_is_scored_by_the_embedded_engine(clips, monkeypatch):
    """As if PyAV decoded one picture more or less than ffmpeg."""
    usual_frames = native_pairs.usual_frames
    monkeypatch.setattr(native_pairs, "usual_frames", lambda clip: usual_frames(clip, 3))
    assert numbers(rows("native", clips["noisy"])) == numbers(rows("embedded", clips["noisy"]))


def test_noise_that_libvmaf_scores_in_two_ways_is_not_scored_natively(clips, tmp_path):
    noise = _FULL_NOISE.replace("0.5", "0.4")
    other = encode(tmp_path / "other.h264", noise, "-pix_fmt", "yuv420p", "-qp", "0")
    with pytest.raises(UnusualError):
        native_pairs.score_encodes(probe(clips["full_noise"]), [other.read_bytes()])


@pytest.mark.parametrize("damage", ["zeros", "cut", "flips"])
def test_refusals_are_those_of_the_embedded_engine(clips, tmp_path, damage):
    content = bytearray(clips["noisy"].read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    for at in range(len(content) // 3, len(content) * 2 // 3, len(content) // 9):
        new = bytes(40) if damage == "zeros" else bytes(b ^ 0x55 for b in content[at : at + 40])
        content[at : at + 40] = new
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content)
    outcomes = []
    for backend in ("native", "embedded"):
        with pytest.raises(ClipError) as caught:
            rows(backend, path)
        outcomes.append((caught.value.stage, caught.value.reason))
    assert outcomes[0] == outcomes[1]


def test_kept_encodes_are_what_was_scored(clips, natively, tmp_path):
    kept = {}
    for backend in ("native", "embedded"):
        options = {"keep_encodes": True, "encode_dir": tmp_path / backend}
        made = rows(backend, clips["noisy"], **options)
        kept[backend] = [Path(row["encode_path"]).read_bytes() for row in made]
        assert len(list((tmp_path / backend).iterdir())) == len(CRFS)
    assert natively == [len(CRFS)]
    assert kept["native"] == kept["embedded"]


def test_times_are_of_encoding_and_of_scoring(clips, natively):
    made = rows("native", clips["noisy"])
    assert natively
    for key in ("encode_time_ms", "score_time_ms"):
        assert len({row[key] for row in made}) == 1 and made[0][key] > 0


@pytest.mark.parametrize(
    ("options", "vmaf", "backend"),
    [
        ({}, {}, "native"),
        ({}, {"backend": "auto"}, "native"),
        ({"encoder": "libx265"}, {"backend": "auto"}, "embedded"),
        ({"encoder": "libx265"}, {}, "embedded"),
        ({"strategy": "stepwise"}, {}, "embedded"),
        ({}, {"backend": "embedded"}, "embedded"),
    ],
)
def test_the_engine_that_is_recorded(options, vmaf, backend):
    chosen = CorpusOptions(threads=1, **options)
    parameters = VmafParameters(**{"backend": "native", **vmaf})
    identity = NrToFrAdapter((30,), "ultrafast", options=chosen, vmaf=parameters).identity
    assert identity.engine.backend == backend
    assert (backend == "native") is identity.engine.engine.startswith("k150k-core")
