"""What an FR row costs: loopback against decoding and encoding alone, and the merge of a corpus.

Usage::

    python benchmarks/fr_from_nr.py cost [--clips DIR] [--limit N] [--rounds N]

``cost`` runs each way on the same clips in turn and prints CPU seconds per clip (children
included) and ratios.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from extract import clip_folder, cpu_seconds, machine

from k150k_pipeline.fr_from_nr import CorpusOptions, NrInputRow, NrToFrAdapter
from k150k_pipeline.media.encode import EncodeSettings
from k150k_pipeline.media.ffmpeg import decode_arguments, find_ffmpeg
from k150k_pipeline.media.probe import probe
from k150k_pipeline.media.process import run_tool
from k150k_pipeline.schemas.fr_parameters import CRF_SWEEP

Job = Callable[[Path], object]


def main() -> None:
    """Parse the command line and run one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    cost = commands.add_parser("cost")
    cost.add_argument("--clips", type=Path, help="folder of clips; default: synthetic ones")
    cost.add_argument("--limit", type=int)
    cost.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"machine: {machine()}")
    with clip_folder(options.clips) as folder:
        compare_costs(sorted(folder.glob("*.mp4"))[: options.limit], options.rounds)


def compare_costs(paths: list[Path], rounds: int) -> None:
    """Run every way on each clip in turn; print cost per clip and ratios."""
    jobs: dict[str, Job] = {
        "decode": lambda path: decode_and_encode(path, ()),
        "decode + encodes": lambda path: decode_and_encode(path, CRF_SWEEP),
        "loopback": adapter_job("loopback"),
        "stepwise": adapter_job("stepwise"),
    }
    cpu: dict[str, list[float]] = {name: [] for name in jobs}
    wall = dict.fromkeys(jobs, 0.0)
    for path in paths:
        for name, job in jobs.items():
            spent = []
            for _ in range(rounds):
                started, used = time.perf_counter(), cpu_seconds()
                job(path)
                wall[name] += (time.perf_counter() - started) / rounds
                spent.append(cpu_seconds() - used)
            cpu[name].append(min(spent))
    print(
        f"{len(paths)} clips, {len(CRF_SWEEP)} CRFs, libx264 medium; best of {rounds} rounds each"
    )
    for name in jobs:
        per_clip = sum(cpu[name]) / len(paths), wall[name] / len(paths)
        print(f"{name:17} {per_clip[0]:8.3f} CPU-s/clip {per_clip[1]:8.3f} s/clip")
    alone = cpu["decode + encodes"]
    for name in ("loopback", "stepwise"):
        ratios = [mine / theirs for mine, theirs in zip(cpu[name], alone, strict=True)]
        print(
            f"{name} / decode + encodes {sum(cpu[name]) / sum(alone):.2f} "
            f"(per clip {min(ratios):.2f} to {max(ratios):.2f})"
        )


def decode_and_encode(path: Path, crfs: tuple[int, ...]) -> None:
    """Decode a clip once in one process, and encode it at these CRFs."""
    clip, settings = probe(path), EncodeSettings("libx264", "medium", 3)
    command = decode_arguments(find_ffmpeg(), clip, threads=1)
    for crf in crfs:
        command += ["-map", f"0:{clip.stream_index}", *settings.arguments(crf), "-f", "null", "-"]
    if not crfs:
        command += ["-map", f"0:{clip.stream_index}", "-fps_mode", "passthrough", "-f", "null", "-"]
    if run_tool(command, timeout_s=600).returncode:
        raise RuntimeError(f"cannot encode {path}")


def adapter_job(strategy: str) -> Job:
    """Return a function that makes the FR rows of a clip; the engine is tried out beforehand."""
    options = CorpusOptions.model_validate({"strategy": strategy})
    adapter = NrToFrAdapter(CRF_SWEEP, options=options)
    assert adapter.identity
    return lambda path: list(adapter.run(NrInputRow(path.name, path)))


if __name__ == "__main__":
    main()
