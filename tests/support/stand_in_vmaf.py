#!/usr/bin/env python3
"""A stand-in for the VMAFx fork's ``vmaf`` binary, because that cannot be had where tests run.

The fork is built from source, its CUDA half needs a GPU and its toolkit, and neither is there in
continuous integration. This script has the fork's command line and writes a log under the fork's
key names. It is a real process with real scores: the libvmaf in the ffmpeg that ``STAND_IN_FFMPEG``
names reads the raw YUV that it is given. What it cannot show is that the fork itself behaves so.

Where the fork differs from that libvmaf, and what is done here:

- ``motion_v2`` is unknown to libvmaf: its keys get the scores of ``motion``.
- ``ssimulacra2`` is unknown to libvmaf: 100 for an identity pair, exit status 1 for any other.
- ``*_cuda`` extractors run on the CPU under their plain names, and only in a CUDA build.
- The log has six decimals, as the fork prints them.
- An unknown option ends with exit status 2; the fork passes over it in silence.
- No feature of a model file displaces the feature of that name that was asked for.

Every misbehaviour is asked for through the environment variable ``STAND_IN_VMAF``, a JSON object
that :func:`tests.support.binaries.write_stand_in` puts into a wrapper script:

========================  ======================================================================
``cuda``                  this is a CUDA build: it has ``*_cuda`` extractors
``cuda_on_request``       these fail unless ``--backend cuda`` or ``--gpumask`` asks for CUDA
``netflix``               usage, version and extractors are those of Netflix's 3.2.0
``without_backend``       the usage has no ``--backend``, as in older builds of the fork
``no_usage``              without arguments it says nothing, as most programs would
``backend_used``          device named in the log: ``asked`` (with ``cuda`` where none was asked
                          for), or any other text as it is
``motion_in_debug_mode``  ``motion_cuda`` returns ``integer_motion`` with ``debug=true`` alone,
                          and not in a pass with a model, whose own ``motion`` then counts
``no_lone_motion3``       ``motion_cuda`` returns no ``integer_motion3`` for one frame
``renames``               ``[key, other key]``: the other key stands in place of the first
``version``               version in the log
``lacks``                 extractors whose keys are absent from the log; exit status 0
``refuses``               extractors that end the run with exit status 255 and no log
``also_returns``          extractors that nobody asked for and that are in the log all the same
``loses_frames``          number of frames missing at the end of the log
``drops``                 ``[key, frame]``: the key is not on that frame
``twice``                 key that stands twice in the JSON object of every frame
``log``                   ``none``: no log and exit status 0; ``cut``: half a log
``exit_status``           exit status after all else went well
``signal``                name of the signal by which it kills itself instead of scoring
``hangs``                 it never comes back
``record``                file that gets one line of JSON per run: process id, arguments, and
                          where the reference lies
========================  ======================================================================
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

Metrics = dict[str, float | None]
Misbehaviour = dict[str, Any]

KEYS = {
    "adm": (
        "integer_adm2",
        "integer_aim",
        "integer_adm3",
        "integer_adm_scale0",
        "integer_adm_scale1",
        "integer_adm_scale2",
        "integer_adm_scale3",
    ),
    "vif": (
        "integer_vif_scale0",
        "integer_vif_scale1",
        "integer_vif_scale2",
        "integer_vif_scale3",
    ),
    "motion": ("integer_motion", "integer_motion2", "integer_motion3"),
    "motion_v2": (
        "VMAF_integer_feature_motion_v2_sad_score",
        "VMAF_integer_feature_motion2_v2_score",
        "VMAF_integer_feature_motion3_v2_score",
    ),
    "psnr": ("psnr_y", "psnr_cb", "psnr_cr"),
    "float_ssim": ("float_ssim",),
    "float_ms_ssim": ("float_ms_ssim",),
    "cambi": ("cambi",),
    "ciede": ("ciede2000",),
    "psnr_hvs": ("psnr_hvs_y", "psnr_hvs_cb", "psnr_hvs_cr", "psnr_hvs"),
    "ssimulacra2": ("ssimulacra2",),
}
MOTION_IN_DEBUG_MODE = "motion_cuda=debug=true"
OF_THE_MODEL = ("adm", "vif", "motion")
OF_THE_FORK_ALONE = {"motion_v2": "motion", "ssimulacra2": "psnr"}
"""Extractors that libvmaf lacks, and the one that runs in their place to count the frames."""


USAGE = """Usage: vmaf [options]

Supported options:
 --reference/-r $path:        path to reference .y4m or .yuv
 --distorted/-d $path:        path to distorted .y4m or .yuv
 --model/-m $params:          model parameters, colon ":" delimited
 --no_prediction/-n:          no prediction, extract features only
 --gpumask: $bitmask          restrict permitted GPU operations
"""
USAGE_OF_THE_FORK = " --no_cuda:  disable CUDA\n --no_sycl:  disable SYCL\n"
USAGE_OF_BACKEND = " --backend $name:  exclusive backend selector\n"


def main() -> None:
    misbehaviour = json.loads(os.environ.get("STAND_IN_VMAF", "{}"))
    version = misbehaviour.get("version", "3.2.0" if misbehaviour.get("netflix") else "3.0.0")
    if len(sys.argv) == 1:
        fail(1, usage(misbehaviour))
    arguments = parse_arguments()
    if arguments.version:
        print(version, file=sys.stderr)
        return
    record(arguments, misbehaviour)
    misbehave(misbehaviour)
    extractors = accepted_extractors(arguments, misbehaviour)
    check_size(arguments)
    extractors |= set(misbehaviour.get("also_returns", ()))
    frames = score(arguments, extractors, model_of(arguments))
    kept = keys_of(extractors - lacking(misbehaviour), arguments)
    kept = [key for key in kept if key not in withheld(arguments, misbehaviour, len(frames))]
    frames = [{key: frame[key] for key in kept if key in frame} for frame in frames]
    misbehaviour["backend_used"] = backend_used(arguments, misbehaviour)
    write_log(Path(arguments.output), version, frames, misbehaviour)
    sys.exit(misbehaviour.get("exit_status", 0))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--reference", "-r")
    parser.add_argument("--distorted", "-d")
    parser.add_argument("--width", "-w", type=int)
    parser.add_argument("--height", "-h", type=int)
    parser.add_argument("--pixel_format", "-p", choices=("420", "422", "444"))
    parser.add_argument("--bitdepth", "-b", type=int, choices=(8, 10, 12))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--model", "-m")
    parser.add_argument("--no_prediction", "-n", action="store_true")
    parser.add_argument("--feature", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--output", "-o", default=os.devnull)
    parser.add_argument("--quiet", "-q", action="store_true")
    parser.add_argument("--no_cuda", action="store_true")
    parser.add_argument("--no_sycl", action="store_true")
    parser.add_argument("--backend")
    parser.add_argument("--gpumask")
    parser.add_argument("--cpumask")
    parser.add_argument("--version", "-v", action="store_true")
    return parser.parse_args()


def record(arguments: argparse.Namespace, misbehaviour: Misbehaviour) -> None:
    if path := misbehaviour.get("record"):
        reference = Path(arguments.reference)
        run = {
            "pid": os.getpid(),
            "argv": sys.argv[1:],
            "reference": str(reference.readlink() if reference.is_symlink() else reference),
        }
        with Path(path).open("a") as file:
            file.write(json.dumps(run) + "\n")


def misbehave(misbehaviour: Misbehaviour) -> None:
    if misbehaviour.get("hangs"):
        time.sleep(1000)
    if name := misbehaviour.get("signal"):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), getattr(signal, name))


def usage(misbehaviour: Misbehaviour) -> str:
    if misbehaviour.get("no_usage"):
        return ""
    if misbehaviour.get("netflix"):
        return USAGE
    backend = "" if misbehaviour.get("without_backend") else USAGE_OF_BACKEND
    return USAGE + USAGE_OF_THE_FORK + backend


def backend_used(arguments: argparse.Namespace, misbehaviour: Misbehaviour) -> str | None:
    used = misbehaviour.get("backend_used")
    return (arguments.backend or "cuda") if used == "asked" else used


def withheld(
    arguments: argparse.Namespace, misbehaviour: Misbehaviour, frames: int
) -> tuple[str, ...]:
    """Return the keys of motion that this build of the GPU's extractor leaves out."""
    if not any(name.startswith("motion_cuda") for name in arguments.feature):
        return ()
    debug = MOTION_IN_DEBUG_MODE in arguments.feature and arguments.no_prediction
    motion = misbehaviour.get("motion_in_debug_mode") and not debug
    motion3 = misbehaviour.get("no_lone_motion3") and frames == 1
    pairs = ((motion, "integer_motion"), (motion3, "integer_motion3"))
    return tuple(key for left_out, key in pairs if left_out)


def plain(extractor: str) -> str:
    extractor = "motion" if extractor == MOTION_IN_DEBUG_MODE else extractor
    return extractor.removesuffix("_cuda")


def lacking(misbehaviour: Misbehaviour) -> set[str]:
    return {plain(name) for name in misbehaviour.get("lacks", ())}


def accepted_extractors(arguments: argparse.Namespace, misbehaviour: Misbehaviour) -> set[str]:
    """Return the extractors asked for, under their plain names; end the run at a bad one."""
    for name in arguments.feature:
        unknown = OF_THE_FORK_ALONE if misbehaviour.get("netflix") else ()
        if plain(name) not in KEYS or name in (*unknown, *misbehaviour.get("refuses", ())):
            fail(255, f"problem loading feature extractor: {name}")
        if name != plain(name) and not cuda_is_active(arguments, misbehaviour):
            fail(100, f"--feature {name} pinned to cuda backend but cuda is not active")
    return {plain(name) for name in arguments.feature}


def cuda_is_active(arguments: argparse.Namespace, misbehaviour: Misbehaviour) -> bool:
    asked = arguments.backend == "cuda" or arguments.gpumask is not None
    on_request = misbehaviour.get("cuda_on_request", False)
    built = misbehaviour.get("cuda", False)
    return built and not arguments.no_cuda and (asked or not on_request)


def check_size(arguments: argparse.Namespace) -> None:
    for path in (Path(arguments.reference), Path(arguments.distorted)):
        size = path.stat().st_size
        if size == 0 or size % frame_bytes(arguments):
            fail(2, f"yuv: file size mismatch: {path} has {size} bytes")


def frame_bytes(arguments: argparse.Namespace) -> int:
    width, height = arguments.width, arguments.height
    chroma_width = width if arguments.pixel_format == "444" else (width + 1) // 2
    chroma_height = (height + 1) // 2 if arguments.pixel_format == "420" else height
    samples = width * height + 2 * chroma_width * chroma_height
    return samples * (1 if arguments.bitdepth == 8 else 2)


def model_of(arguments: argparse.Namespace) -> str:
    """Return the model as the command line has it: ``version=`` or ``path=``; empty for none."""
    return "" if arguments.no_prediction else arguments.model or "version=vmaf_v0.6.1"


def score(arguments: argparse.Namespace, extractors: set[str], model: str) -> list[Metrics]:
    """Return the metrics of every frame under the fork's keys."""
    names = {OF_THE_FORK_ALONE.get(name, name) for name in extractors} or {"psnr"}
    frames = [in_the_forks_names(metrics) for metrics in run_libvmaf(arguments, names, model)]
    if "ssimulacra2" in extractors:
        if not filecmp.cmp(arguments.reference, arguments.distorted, shallow=False):
            fail(1, "the stand-in knows ssimulacra2 of identity pairs alone")
        frames = [{**frame, "ssimulacra2": 100.0} for frame in frames]
    return frames


def run_libvmaf(arguments: argparse.Namespace, names: set[str], model: str) -> list[Metrics]:
    features = "|".join(f"name={name}" for name in sorted(names))
    graph = (
        f"[1:v][0:v]libvmaf=model={model}:feature={features}:n_threads={arguments.threads}"
        ":log_fmt=json:log_path=/dev/stdout"
    )
    # Descriptors are inherited under no name but the one in /proc/self, and ffmpeg is another self.
    with Path(arguments.reference).open() as r, Path(arguments.distorted).open() as d:
        command = [
            os.environ["STAND_IN_FFMPEG"], "-nostdin", "-v", "error",
            *raw_input(arguments, r.fileno()), *raw_input(arguments, d.fileno()),
            "-filter_complex", graph, "-fps_mode", "passthrough", "-f", "null", "-",
        ]  # fmt: skip
        descriptors = (r.fileno(), d.fileno())
        run = subprocess.run(command, pass_fds=descriptors, stdout=subprocess.PIPE, text=True)
    if run.returncode:
        fail(1, "libvmaf failed")
    return [frame["metrics"] for frame in json.loads(run.stdout)["frames"]]


def raw_input(arguments: argparse.Namespace, descriptor: int) -> list[str]:
    depth = "" if arguments.bitdepth == 8 else f"{arguments.bitdepth}le"
    return [
        "-f", "rawvideo", "-video_size", f"{arguments.width}x{arguments.height}",
        "-pixel_format", f"yuv{arguments.pixel_format}p{depth}",
        "-i", f"/proc/self/fd/{descriptor}",
    ]  # fmt: skip


def in_the_forks_names(metrics: Metrics) -> Metrics:
    motion = "VMAF_integer_feature_motion_sad_score"
    renamed = {"integer_motion" if key == motion else key: v for key, v in metrics.items()}
    twins = dict(zip(KEYS["motion_v2"], KEYS["motion"], strict=True))
    renamed |= {twin: renamed[key] for twin, key in twins.items() if key in renamed}
    return {key: None if v is None else round(v, 6) for key, v in renamed.items()}


def keys_of(extractors: set[str], arguments: argparse.Namespace) -> list[str]:
    names = extractors | (set(OF_THE_MODEL) if model_of(arguments) else set())
    model = ["vmaf"] if model_of(arguments) else []
    return [key for name in KEYS if name in names for key in KEYS[name]] + model


def write_log(path: Path, version: str, frames: list[Metrics], misbehaviour: Misbehaviour) -> None:
    if misbehaviour.get("log") == "none":
        return
    frames = frames[: len(frames) - misbehaviour.get("loses_frames", 0)]
    if "drops" in misbehaviour:
        key, number = misbehaviour["drops"]
        del frames[number][key]
    if "renames" in misbehaviour:
        old, new = misbehaviour["renames"]
        frames = [{new if k == old else k: v for k, v in frame.items()} for frame in frames]
    rows = ",\n".join(
        f'{{"frameNum": {number}, "metrics": {json_object(frame, misbehaviour.get("twice"))}}}'
        for number, frame in enumerate(frames)
    )
    used = misbehaviour.get("backend_used")
    device = f', "backend_used": "{used}"' if used else ""
    text = f'{{"version": "{version}", "fps": 1.0, "frames": [\n{rows}\n]{device}}}\n'
    path.write_text(text[: len(text) // 2] if misbehaviour.get("log") == "cut" else text)


def json_object(metrics: Metrics, twice: str | None) -> str:
    pairs = [*metrics.items(), *((k, v) for k, v in metrics.items() if k == twice)]
    return "{" + ", ".join(f'"{key}": {json.dumps(value)}' for key, value in pairs) + "}"


def fail(status: int, why: str) -> None:
    print(why, file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
