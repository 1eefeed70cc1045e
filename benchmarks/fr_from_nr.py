"""What an FR row costs: loopback against decoding and encoding alone, and the merge of a corpus.

Usage::

    python benchmarks/fr_from_nr.py cost [--clips DIR] [--limit N] [--rounds N] [--core N]
        [--variants 'loopback native' 'loopback embedded' …]
    python benchmarks/fr_from_nr.py agreement [--clips DIR] [--limit N]
    python benchmarks/fr_from_nr.py merge [--clips-count 148543] [--parquet]

``cost`` runs all variants in alternating rounds on the same clips and prints medians of the CPU
seconds per clip (children included) and of the ratios. ``agreement`` compares the rows of both
strategies key by key and checks that rate and quality fall as the CRF rises. ``merge`` derives a
whole corpus from journals of made-up sweeps, in a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from extract import clip_folder, cpu_seconds, machine

from k150k_pipeline.fr_from_nr import CorpusOptions, NrInputRow, NrToFrAdapter
from k150k_pipeline.journal import Entry, Journal
from k150k_pipeline.journal.records import encode_entry, encode_header, encode_payload
from k150k_pipeline.media.encode import EncodeSettings
from k150k_pipeline.media.ffmpeg import decode_arguments, find_ffmpeg
from k150k_pipeline.media.probe import probe
from k150k_pipeline.media.tools import run_tool
from k150k_pipeline.pipelines.fr_from_nr.plan import FrClip, FrPlan
from k150k_pipeline.schemas.fr_parameters import CRF_SWEEP
from k150k_pipeline.schemas.parameters import SampleParameters, VmafParameters

BASE = "decode + encodes"
_TIMES = ("run_id", "timestamp", "encode_time_ms", "score_time_ms")


def main() -> None:
    """Parse the command line and run one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    cost = commands.add_parser("cost")
    cost.add_argument("--rounds", type=int, default=3)
    cost.add_argument("--core", type=int, help="core that everything runs on; default: any")
    cost.add_argument(
        "--variants",
        nargs="+",
        default=["loopback native", "loopback embedded", "stepwise embedded"],
        help="strategies and engines, such as 'loopback embedded'",
    )
    agreement = commands.add_parser("agreement")
    for command in (cost, agreement):
        command.add_argument("--clips", type=Path, help="folder of clips; default: synthetic ones")
        command.add_argument("--limit", type=int)
    merge = commands.add_parser("merge")
    merge.add_argument("--clips-count", type=int, default=148_543)
    merge.add_argument("--parquet", action="store_true", help="write the parquet copy too")
    options = parser.parse_args()
    print(f"machine: {machine()}")
    if options.command == "merge":
        measure_merge(options.clips_count, options.parquet)
        return
    with clip_folder(options.clips) as folder:
        paths = sorted(folder.glob("*.mp4"))[: options.limit]
        if options.command == "cost":
            if options.core is not None:
                os.sched_setaffinity(0, {options.core})
            compare_costs(paths, options.rounds, options.variants)
        else:
            compare_rows(paths)


def compare_costs(paths: list[Path], rounds: int, names: list[str]) -> None:
    """Run the variants in alternating rounds; print medians of cost per clip and of ratios."""
    jobs: dict[str, Callable[[Path], object]] = {
        "decode": lambda path: decode_and_encode(path, ()),
        BASE: lambda path: decode_and_encode(path, CRF_SWEEP),
        **{name: adapter_job(*name.split()) for name in names},
    }
    spent: dict[str, list[list[float]]] = {name: [] for name in jobs}
    for _ in range(rounds):
        of_round = {name: [cpu_of(job, path) for path in paths] for name, job in jobs.items()}
        for name, seconds in of_round.items():
            spent[name].append(seconds)
    clips = f"{len(paths)} clips, {len(CRF_SWEEP)} CRFs, libx264 medium, "
    print(f"{clips}{rounds} alternating rounds on cores {sorted(os.sched_getaffinity(0))}")
    for name in jobs:
        print(f"{name:20} {median(map(sum, spent[name])) / len(paths):8.3f} CPU-s/clip, median")
    for name in names:
        print_ratio(name, spent[name], spent[BASE])


def cpu_of(job: Callable[[Path], object], path: Path) -> float:
    """Return the CPU seconds of a job, with those of its processes."""
    used = cpu_seconds()
    job(path)
    return cpu_seconds() - used


def print_ratio(name: str, mine: list[list[float]], base: list[list[float]]) -> None:
    """Print the ratios of two variants, whose seconds are given by round and clip."""
    ratios = [sum(own) / sum(theirs) for own, theirs in zip(mine, base, strict=True)]
    own, theirs = ([median(clip) for clip in zip(*side, strict=True)] for side in (mine, base))
    of_clips = [one / other for one, other in zip(own, theirs, strict=True)]
    rounds = " ".join(f"{ratio:.3f}" for ratio in ratios)
    print(
        f"{name} / {BASE}: median {median(ratios):.3f} of {rounds} "
        f"(per clip {min(of_clips):.2f} to {max(of_clips):.2f})"
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


def adapter_job(strategy: str, backend: str = "embedded") -> Callable[[Path], list[dict[str, Any]]]:
    """Return a function that makes the FR rows of a clip; the engine is tried out beforehand."""
    options = CorpusOptions.model_validate({"strategy": strategy})
    vmaf = VmafParameters.model_validate({"backend": backend})
    adapter = NrToFrAdapter(CRF_SWEEP, options=options, vmaf=vmaf)
    assert adapter.identity
    return lambda path: list(adapter.run(NrInputRow(path.name, path)))


def compare_rows(paths: list[Path]) -> None:
    """Print how many values differ between the strategies, and by how much vmaf falls per step."""
    differing, steps = 0, []
    for path in paths:
        one, other = (adapter_job(strategy)(path) for strategy in ("loopback", "stepwise"))
        for mine, theirs in zip(one, other, strict=True):
            differing += sum(mine[key] != theirs[key] for key in mine if key not in _TIMES)
        for better, worse in itertools.pairwise(one):
            assert better["bitrate_kbps"] > worse["bitrate_kbps"], (path, better["crf"])
            steps.append(better["vmaf_score"] - worse["vmaf_score"])
    print(f"{len(paths)} clips, {len(CRF_SWEEP)} CRFs: {differing} values differ")
    print(f"bitrate falls at every step of the CRF; vmaf by {min(steps):.4f} to {max(steps):.4f}")


def measure_merge(clips: int, parquet: bool) -> None:
    """Journal made-up sweeps of this many clips and merge them in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        plan = write_journal(root, clips)
        (root / "plan.json").write_text(plan.model_dump_json())
        script = Path(__file__).with_name("_merge_fr.py")
        command = [sys.executable, str(script), folder, *(["parquet"] if parquet else [])]
        subprocess.run(command, check=True)


def write_journal(root: Path, clips: int, shards: int = 16) -> FrPlan:
    """Write journals of made-up sweeps, without an fsync per line; return the plan of their run."""
    journal = Journal(root / "journal", root / "fr.jsonl")
    journal.folder.mkdir()
    scoring = {"crf_sweep": " ".join(map(str, CRF_SWEEP)), "encoder": "none"}
    template = make_sweep()
    names = [f"orig_{10_000_000_000 + i}_540_5s.mp4" for i in range(clips)]
    for shard in range(shards):
        with (journal.folder / f"shard-{shard:04d}-made-up.jsonl").open("wb") as file:
            file.write(encode_header("made-up", scoring, {}))
            for name in names[shard::shards]:
                payload = {**template, "clip": {**template["clip"], "src": name}}
                sealed = encode_payload(payload)
                file.write(encode_entry(Entry(name, "made-up", 1, 0.0, 0.0, sealed, None)))
    return FrPlan(
        corpus="konvid_150k",
        run_id="made-up",
        fingerprint="made-up",
        accepted=[],
        scoring=scoring,
        clips={name: FrClip(mos=3.0, sha256="") for name in names},
        due=[],
        changed_clips=[],
        attempts={},
        done_before=clips,
        clips_without_label=[],
        labels_without_clip=[],
        torn_lines=0,
        broken_lines=[],
        started_at=time.time(),
    )


def make_sweep() -> dict[str, Any]:
    """Return the payload of a small real clip, so that its numbers have all digits."""
    from k150k_pipeline.pipelines.sample.nodes import make_clips

    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.mp4")
        next(iter(make_clips(SampleParameters(seconds=0.4), VmafParameters()).values()))(clip)
        return NrToFrAdapter(CRF_SWEEP, "ultrafast").sweep(NrInputRow("clip", clip, 3.0))


if __name__ == "__main__":
    main()
