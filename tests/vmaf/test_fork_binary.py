"""Which binary is the fork's, on which device it scores, and by what two binaries differ."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from k150k_pipeline.errors import ClipError, EngineError
from k150k_pipeline.media.probe import ClipInfo, probe
from k150k_pipeline.vmaf import Engine, EngineIdentity
from k150k_pipeline.vmaf.fork import CpuEngine, CudaEngine
from k150k_pipeline.vmaf.pairs import BinaryPairs
from k150k_pipeline.vmaf.plans import FULL, IDENTITY, PLANS
from tests.conftest import encode
from tests.support.binaries import write_script
from tests.vmaf.conftest import Bench
from tests.vmaf.test_fork import argument, features

Clips = dict[str, ClipInfo]

pytestmark = pytest.mark.thorough

DEBUG = "motion_cuda=debug=true"


def identify(bench: Bench, scorer: str, backend: str) -> EngineIdentity:
    parameters = bench.changed(backend=backend)
    if scorer == "pairs":
        return BinaryPairs(parameters).identify()
    return (CpuEngine if backend == "cpu" else CudaEngine)(parameters).identify()


def refusal(bench: Bench, scorer: str, backend: str) -> str:
    with pytest.raises(EngineError) as caught:
        identify(bench, scorer, backend)
    return str(caught.value)


@pytest.mark.parametrize("backend", ["cpu", "cuda"])
@pytest.mark.parametrize("scorer", ["clips", "pairs"])
def test_netflix_binary_is_refused_by_name(bench: Bench, scorer: str, backend: str) -> None:
    path = bench.write(backend, netflix=True, cuda=backend == "cuda")
    message = refusal(bench, scorer, backend)
    assert f"{path} is Netflix's vmaf 3.2.0, not the fork's" in message
    assert "github.com/lusoris/vmaf" in message
    assert f"vmaf.{backend}_binary" in message and "vmaf.backend=embedded" in message
    assert not bench.has_run(backend)


def test_netflix_binary_in_the_place_of_the_fork_scores_no_clip(bench: Bench, clips: Clips) -> None:
    bench.write("cpu", netflix=True)
    with pytest.raises(EngineError, match="is Netflix's vmaf"):
        CpuEngine(bench.parameters).score(clips["eight_bit"], IDENTITY)


@pytest.mark.parametrize("scorer", ["clips", "pairs"])
def test_program_that_is_no_vmaf_is_refused(bench: Bench, scorer: str) -> None:
    bench.write("cpu", no_usage=True)
    assert "is not a vmaf" in refusal(bench, scorer, "cpu")


def test_cpu_is_named_on_the_command_line(bench: Bench, clips: Clips) -> None:
    CpuEngine(bench.parameters).score(clips["eight_bit"], IDENTITY)
    assert argument(bench.command("cpu"), "--backend") == "cpu"


def test_older_binary_is_kept_off_the_gpu_by_its_own_switches(bench: Bench, clips: Clips) -> None:
    bench.write("cpu", without_backend=True)
    CpuEngine(bench.parameters).score(clips["eight_bit"], IDENTITY)
    command = bench.command("cpu")
    assert "--backend" not in command
    assert {"--no_cuda", "--no_sycl"} <= set(command)


def test_usage_is_read_once_per_binary(bench: Bench, clips: Clips) -> None:
    starts = bench.folder / "starts"
    path = write_script(
        bench.folder / "counting" / "vmaf",
        f'echo $# >> {starts}; exec {bench.parameters.cpu_binary} "$@"',
    )
    engine = CpuEngine(bench.changed(cpu_binary=path))
    engine.score(clips["eight_bit"], IDENTITY)
    engine.score(clips["eight_bit"], IDENTITY)
    arguments = [int(line) for line in starts.read_text().split()]
    assert len(arguments) == 3 and arguments.count(0) == 1


@pytest.mark.parametrize("scorer", ["clips", "pairs"])
@pytest.mark.parametrize(("backend", "used"), [("cpu", "cuda"), ("cpu", "sycl"), ("cuda", "cpu")])
def test_score_of_another_device_is_refused(
    bench: Bench, scorer: str, backend: str, used: str
) -> None:
    bench.write(backend, cuda=backend == "cuda", backend_used=used)
    message = refusal(bench, scorer, backend)
    assert f"scored on {used} instead of {backend}" in message


def test_device_that_changes_during_a_run_ends_the_run(bench: Bench, clips: Clips) -> None:
    engine = CpuEngine(bench.parameters)
    engine.identify()
    bench.write("cpu", backend_used="cuda")
    with pytest.raises(EngineError, match="scored on cuda instead of cpu"):
        engine.score(clips["eight_bit"], IDENTITY)


def test_one_cuda_build_serves_both_passes(bench: Bench, clips: Clips, engine: Engine) -> None:
    both = bench.write("cuda", cuda=True, backend_used="asked")
    cuda = CudaEngine(bench.changed(cpu_binary=both))
    cuda.identify()
    values = cuda.score(clips["eight_bit"], FULL).values
    gpu, cpu = (run["argv"] for run in bench.runs("cuda")[-2:])
    assert argument(gpu, "--backend") == "cuda" and argument(cpu, "--backend") == "cpu"
    expected = engine.score(clips["eight_bit"], FULL).values
    np.testing.assert_allclose(values["cambi"], expected["cambi"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(values["vmaf"], expected["vmaf"], rtol=0, atol=1e-5)


def test_one_cuda_build_serves_the_cpu_backend(bench: Bench, clips: Clips) -> None:
    both = bench.write("cuda", cuda=True, backend_used="asked")
    engine = CpuEngine(bench.changed(cpu_binary=both))
    assert engine.identify().backend == "cpu"
    assert engine.score(clips["eight_bit"], IDENTITY).frames == 3


@pytest.mark.parametrize(("width", "plain"), [(272, True), (274, False)])
def test_adm_of_a_narrow_picture_runs_without_vector_code(
    bench: Bench, tmp_path: Path, width: int, plain: bool
) -> None:
    source = f"testsrc2=size={width}x256:rate=25:duration=0.04"
    clip = probe(encode(tmp_path / "narrow.mp4", source, "-pix_fmt", "yuv420p"))
    CpuEngine(bench.parameters).score(clip, FULL)
    command = bench.command("cpu")
    assert ("--cpumask" in command) is plain
    assert not plain or argument(command, "--cpumask") == "63"


def test_vector_code_is_used_where_adm_is_not_measured(bench: Bench, clips: Clips) -> None:
    CpuEngine(bench.parameters).score(clips["eight_bit"], IDENTITY)
    assert "--cpumask" not in bench.command("cpu")


@pytest.mark.parametrize("backend", ["cpu", "cuda"])
@pytest.mark.parametrize("scorer", ["clips", "pairs"])
def test_two_builds_of_one_version_are_two_identities(
    bench: Bench, scorer: str, backend: str
) -> None:
    path = {"cpu": bench.parameters.cpu_binary, "cuda": bench.parameters.cuda_binary}[backend]
    before = identify(bench, scorer, backend)
    assert identify(bench, scorer, backend) == before
    with path.open("a") as file:
        file.write("# built again\n")
    after = identify(bench, scorer, backend)
    assert (after.libvmaf, after.engine) == (before.libvmaf, before.engine)
    assert after.version != before.version


def test_the_same_build_elsewhere_is_the_same_identity(bench: Bench) -> None:
    before = CpuEngine(bench.parameters).identify()
    elsewhere = shutil.copy(bench.parameters.cpu_binary, bench.folder / "renamed")
    assert CpuEngine(bench.changed(cpu_binary=Path(elsewhere))).identify() == before


def test_shared_library_is_part_of_the_identity(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may be small and unchanged while the libvmaf that it loads is another."""
    monkeypatch.setenv("LD_DEBUG_OUTPUT", str(bench.folder / "the_loader_says"))
    library = bench.folder / "lib" / "libvmaf.so.3"
    library.parent.mkdir()
    shutil.copy(_mapped("libm.so"), library)
    path = write_script(
        bench.folder / "linked" / "vmaf",
        f'LD_PRELOAD={library} exec {bench.parameters.cpu_binary} "$@"',
    )
    parameters = bench.changed(cpu_binary=path)
    before = CpuEngine(parameters).identify()
    with library.open("ab") as file:
        file.write(b"\0")
    after = CpuEngine(parameters).identify()
    assert before.version.split()[:3] == after.version.split()[:3]
    assert before.version.split()[3] != after.version.split()[3]
    assert not list(bench.folder.glob("the_loader_says*"))


@pytest.mark.parametrize("plan", ["identity", "full"])
def test_motion_is_had_in_debug_mode_where_the_gpu_gives_it_so(
    bench: Bench, clips: Clips, engine: Engine, plan: Any
) -> None:
    bench.write("cuda", cuda=True, motion_in_debug_mode=True)
    cuda = CudaEngine(bench.parameters)
    cuda.identify()
    values = cuda.score(clips["eight_bit"], PLANS[plan]).values
    expected = engine.score(clips["eight_bit"], PLANS[plan]).values
    for feature in ("motion", "motion2", "motion3", "vmaf"):
        atol = 3e-3 if feature == "vmaf" else 1e-6
        np.testing.assert_allclose(values[feature], expected[feature], rtol=0, atol=atol)
    (measuring,) = [r["argv"] for r in bench.runs("cuda")[-2:] if DEBUG in features(r["argv"])]
    assert "--no_prediction" in measuring


def test_gpu_without_any_motion_is_refused_at_the_start(bench: Bench) -> None:
    bench.write("cuda", cuda=True, motion_in_debug_mode=True, refuses=[DEBUG])
    assert DEBUG in refusal(bench, "clips", "cuda")


def test_motion3_of_a_clip_of_one_frame_is_known(bench: Bench, tmp_path: Path) -> None:
    source = "testsrc2=size=256x256:rate=25:duration=0.04"
    clip = probe(encode(tmp_path / "one.mp4", source, "-pix_fmt", "yuv420p"))
    of_the_cpu = CpuEngine(bench.parameters).score(clip, FULL).values
    bench.write("cuda", cuda=True, no_lone_motion3=True)
    values = CudaEngine(bench.parameters).score(clip, FULL).values
    assert values["motion3"].tolist() == of_the_cpu["motion3"].tolist() == [0.0]


def test_missing_motion3_of_a_longer_clip_is_not_made_up(bench: Bench, clips: Clips) -> None:
    engine = CudaEngine(bench.parameters)
    engine.identify()
    bench.write("cuda", cuda=True, renames=["integer_motion3", "something_else"])
    with pytest.raises(ClipError) as caught:
        engine.score(clips["eight_bit"], IDENTITY)
    assert caught.value.reason == "missing_feature"


@pytest.mark.parametrize(
    ("key", "renamed"),
    [("integer_motion", "integer_motion_mfw_2.4"), ("cambi", "cambi_eotf_pq")],
)
def test_key_with_options_is_refused_by_name(
    bench: Bench, clips: Clips, key: str, renamed: str
) -> None:
    engine = CpuEngine(bench.parameters)
    engine.identify()
    bench.write("cpu", renames=[key, renamed])
    assert f"{key.removeprefix('integer_')} (only {renamed})" in refusal(bench, "clips", "cpu")
    with pytest.raises(ClipError) as caught:
        engine.score(clips["eight_bit"], IDENTITY)
    assert caught.value.reason == "missing_feature"
    assert renamed in caught.value.detail


def _mapped(name: str) -> Path:
    """Return a shared library that this process has loaded."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    paths = {Path(line.split()[-1]) for line in lines if name in line}
    if not paths:
        pytest.skip(f"this Python does not load {name}")
    return paths.pop()
