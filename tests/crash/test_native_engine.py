"""The native engine on damaged clips, without memory, and with a library that crashes."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from k150k_pipeline.errors import ClipError, EngineError
from k150k_pipeline.media import pyav as av
from k150k_pipeline.media.probe import ClipInfo
from k150k_pipeline.schemas.parameters import LEAST_MEMORY_MB, ExtractParameters, VmafParameters
from k150k_pipeline.vmaf import ClipScore, core
from k150k_pipeline.vmaf.isolated_scoring import IsolatedScorer
from k150k_pipeline.vmaf.plans import IDENTITY
from tests.conftest import CHECKOUT, KEDRO, MakeClip, Project, encode
from tests.support import mutations
from tests.support.damaged_clips import X264, damaged, make_sound
from tests.support.ledger import Ledger
from tests.support.waiting import HANG_GUARD_S

try:
    core.load_library()
except EngineError as error:
    pytest.skip(str(error), allow_module_level=True)

COMPILER = shutil.which("cc") or shutil.which("gcc")
KIND = "damaged clips: native, embedded"
MUTANTS = {False: 20, True: 300}
FIRST_FRAMES = 8
MEASURED = ("cambi", "motion", "motion2", "motion3")


Maker = Callable[[int], tuple[str, bytes]]
"""Makes the damaged clip of a number: its name and its bytes."""


def of_few_kinds(folder: Path) -> Maker:
    sound = make_sound(folder)

    def make(number: int) -> tuple[str, bytes]:
        name = list(sound)[number % len(sound)]
        return name, damaged(sound[name], number)

    return make


def of_every_kind(folder: Path) -> Maker:
    sound = mutations.make_sound(folder / "sound")

    def make(number: int) -> tuple[str, bytes]:
        name, _, body = mutations.mutant(sound, number)
        return name, body

    return make


def scorer(backend: str, memory_limit_mb: int | None = None) -> IsolatedScorer:
    extract = ExtractParameters()
    return IsolatedScorer(
        VmafParameters.model_validate({"backend": backend}),
        memory_limit_mb or extract.memory_limit_mb,
        extract.probe_timeout_s,
    )


def outcome(
    engine: IsolatedScorer, clip: ClipInfo, first: int | None = None
) -> ClipScore | tuple[str, str]:
    try:
        return engine.score(clip, IDENTITY, first)
    except ClipError as error:
        return error.stage, error.reason


def agree(clip: ClipInfo, first: int | None = None) -> bool:
    """Compare both engines on every frame of a clip; return whether it was scored natively."""
    found, expected = (outcome(scorer(name), clip, first) for name in ("native", "embedded"))
    if isinstance(found, tuple) or isinstance(expected, tuple):
        assert found == expected
        return False
    assert (found.frames, found.whole) == (expected.frames, expected.whole)
    for feature in MEASURED:
        np.testing.assert_allclose(
            found.values[feature], expected.values[feature], rtol=0, atol=1e-6
        )
    return not np.array_equal(found.values["cambi"].round(6), found.values["cambi"])


def mutants(make: Maker, folder: Path) -> Iterator[tuple[str, ClipInfo]]:
    """Yield damaged clips that can be opened.

    Clips that are not H.264 are left out: the embedded engine scores them under both names, and
    ffmpeg decodes a damaged VP8 stream differently from run to run.
    """
    prober = scorer("embedded")
    for number in itertools.count():
        name, body = make(number)
        path = folder / f"{number} {name}"
        path.write_bytes(body)
        try:
            clip = prober.probe(path)
            if clip.codec == "h264":
                yield path.name, clip
        except ClipError:
            continue
        finally:
            path.unlink()


@pytest.mark.parametrize("damage", [of_few_kinds, of_every_kind])
def test_damaged_clips_have_the_values_or_the_failure_of_the_embedded_engine(
    damage: Callable[[Path], Maker], tmp_path: Path, ledger: Ledger
) -> None:
    scored_natively = 0
    for name, clip in itertools.islice(mutants(damage(tmp_path), tmp_path), MUTANTS[ledger.full]):
        with ledger.case(KIND, name):
            scored_natively += agree(clip)
    assert scored_natively


@pytest.mark.shared
def test_every_clip_beside_the_checkout_has_the_values_of_the_embedded_engine(
    shared: Path, ledger: Ledger
) -> None:
    """In the normal run their first frames; those that cannot be opened reach no engine."""
    first = None if ledger.full else FIRST_FRAMES
    real = sorted((shared / "clips/k150ka_extracted").iterdir())
    scored_natively = 0
    for path in [*real, *sorted((shared / "malformed").glob("*.mp4"))]:
        try:
            clip = scorer("native").probe(path)
        except ClipError:
            continue
        with ledger.case(KIND, path.name):
            scored_natively += agree(clip, first)
    assert scored_natively >= len(real)


def test_a_clip_that_memory_is_too_short_for_fails_with_either_engine(
    make_clip: MakeClip,
) -> None:
    path = make_clip("-x264-params", "threads=1", source="testsrc2=s=8000x4000:r=25:d=0.08")
    clip = scorer("embedded").probe(path)
    found, expected = (outcome(scorer(b, LEAST_MEMORY_MB), clip) for b in ("native", "embedded"))
    # libvmaf, whose message of a failed allocation varies, may be named instead.
    assert {found, expected} <= {("score", "memory"), ("score", "libvmaf")}


CRASHING = """
#include <signal.h>
#include <stdint.h>
#include "k150k_core.h"
#undef k150k_cambi
double k150k_cambi(k150k_scorer *scorer, const void *luma, ptrdiff_t stride) {
    double sound_cambi(k150k_scorer *, const void *, ptrdiff_t);
    if (*(const uint8_t *)luma == POISON) raise(SIGSEGV);
    return sound_cambi(scorer, luma, stride);
}
"""


def build_crashing_library(target: Path, poison: int, folder: Path) -> None:
    """Build the library with a kernel that crashes on pictures that begin with a sample."""
    source = folder / "crashing.c"
    source.write_text(CRASHING)
    flags = ("-std=c11", "-O1", "-ffp-contract=off", "-Wno-psabi", "-shared", "-fPIC")
    include = f"-I{CHECKOUT / 'core/include'}"
    objects = []
    for path, define in (
        *((path, "-Dk150k_cambi=sound_cambi") for path in (CHECKOUT / "core/src").glob("*.c")),
        (source, f"-DPOISON={poison}"),
    ):
        objects.append(str(folder / f"{path.stem}.o"))
        command = [COMPILER, *flags, include, define, "-c", str(path), "-o", objects[-1]]
        subprocess.run(command, check=True)
    subprocess.run([COMPILER, "-shared", *objects, "-lm", "-o", str(target)], check=True)


def first_sample(path: Path) -> int:
    with av.open(str(path)) as container:
        return int(next(container.decode(video=0)).to_ndarray()[0, 0])


@pytest.mark.thorough
@pytest.mark.serial
@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_a_kernel_that_crashes_costs_the_clip(
    project: Project, tiny_clips: Path, tmp_path: Path
) -> None:
    names = project.add_clips(tiny_clips)
    evil = encode(project.clips / "evil.mp4", "color=white:s=256x256:r=25:d=0.2", *X264)
    project.write_scores(dict.fromkeys([*names, evil.name], 3.0))
    poison = first_sample(evil)
    assert poison not in [first_sample(project.clips / name) for name in names]
    source = shutil.copytree(
        CHECKOUT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("_core*", "__pycache__")
    )
    build_crashing_library(source / "k150k_pipeline/vmaf/_core.so", poison, tmp_path)
    arguments = project.extract(
        params="vmaf.backend=native,extract.workers=2,extract.max_failure_rate=1"
    )
    run = subprocess.run(
        [*KEDRO, *arguments],
        cwd=project.root,
        env={**os.environ, "PYTHONPATH": str(source)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANG_GUARD_S,
    )
    assert run.returncode == 0 and "Traceback" not in run.stdout, run.stdout
    assert project.table()["clip_name"].tolist() == names
    failures = pd.read_csv(project.failures)
    assert failures[["clip_name", "stage", "reason"]].to_numpy().tolist() == [
        ["evil.mp4", "score", "crashed"]
    ]
    scoring = json.loads(project.report.read_text())["scoring"]
    assert scoring["backend"] == "native"
