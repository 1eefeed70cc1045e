"""Nodes of sample: synthetic clips of varied content and quality, with synthetic votes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from k150k_pipeline.datasets.clip_folder import ClipFolder, ClipMakers
from k150k_pipeline.errors import EngineError
from k150k_pipeline.media.ffmpeg import find_ffmpeg
from k150k_pipeline.media.tools import run_tool
from k150k_pipeline.schemas.parameters import SampleParameters, VmafParameters

_VOTES_PER_CLIP = 5
_SIZE = "960x540"


@dataclass(frozen=True)
class Recipe:
    """How one synthetic clip is made.

    Attributes:
        content: What it shows.
        source: Filter graph of ffmpeg's own sources.
        crf: CRF at which x264 encodes it.
        opinion: Mean of the distribution of its votes, 1–5.
        pix_fmt: Pixel format.
        cut: Whether the second half of the file is missing.
    """

    content: str
    source: str
    crf: int
    opinion: float
    pix_fmt: str = "yuv420p"
    cut: bool = False


def _gradient(start: str, end: str, speed: float, seed: int) -> str:
    return f"gradients=s={_SIZE}:r=25:c0={start}:c1={end}:speed={speed}:seed={seed}"


def _texture(seed: int) -> str:
    return f"color=gray:s={_SIZE}:r=25,noise=alls=40:allf=t:all_seed={seed}"


def _pan(pixels_per_frame: int) -> str:
    return f"testsrc2=s=1920x540:r=30,crop=960:540:x='mod({pixels_per_frame}*n,960)':y=0"


_STILL = f"mandelbrot=s={_SIZE}:r=25:start_scale=0.4:end_scale=0.4,trim=end_frame=1,loop=-1:1:0"
_ZOOM = f"mandelbrot=s={_SIZE}:r=25:end_scale=0.001:end_pts=400"
_CUT = (
    f"testsrc2=s={_SIZE}:r=25,trim=end_frame=60,settb=1/25[a];"
    f"mandelbrot=s={_SIZE}:r=25,trim=end_frame=65,format=yuv420p,settb=1/25[b];[a][b]concat"
)
_CELLS = (
    "life=s=480x270:r=15:mold=10:ratio=0.3:seed=9:death_color=#402020:life_color=#a0e0a0,"
    f"scale={_SIZE}:flags=neighbor"
)
_CLOUDS = (
    f"perlin=s={_SIZE}:r=25:octaves=4:persistence=0.7:xscale=4:yscale=4:tscale=0.4"
    ":random_mode=seed:seed=12"
)
RECIPES = (
    Recipe("dark gradient that bands", _gradient("0x101018", "0x383040", 0.005, 1), 40, 2.2),
    Recipe("bright gradient", _gradient("0x88aacc", "0xffffff", 0.02, 2), 24, 4.0),
    Recipe("fine texture, good", _texture(3), 20, 3.6),
    Recipe("fine texture, poor", _texture(4), 42, 2.0),
    Recipe("fast motion, good", _pan(40), 28, 3.2),
    Recipe("fast motion, poor", _pan(60), 45, 1.6),
    Recipe("a still", _STILL, 18, 4.2),
    Recipe("scene cut", _CUT, 26, 3.4),
    Recipe("slow zoom", _ZOOM, 23, 3.8),
    Recipe("cells", _CELLS, 32, 2.8),
    Recipe("10 bit", _gradient("0x203040", "0x506070", 0.01, 11), 22, 4.4, "yuv420p10le"),
    Recipe("soft clouds", _CLOUDS, 30, 3.0),
    Recipe("cut off in the middle", f"testsrc2=s={_SIZE}:r=25", 26, 2.6, cut=True),
)
LABEL_WITHOUT_CLIP = "orig_synthetic_99_540_5s.mp4"


def clip_name(index: int) -> str:
    """Return a name in the pattern of the corpus that no reader takes for a real clip's."""
    return f"orig_synthetic_{index:02d}_540_5s.mp4"


def make_clips(sample: SampleParameters, vmaf: VmafParameters) -> ClipMakers:
    """Return, per clip name, a function that encodes the clip to a path."""
    ffmpeg = find_ffmpeg(vmaf.ffmpeg)
    return {
        clip_name(index): partial(_encode, ffmpeg, recipe, sample.seconds)
        for index, recipe in enumerate(RECIPES, start=1)
    }


def make_labels(sample: SampleParameters) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw five votes per clip, and take the scores as their means; one label has no clip.

    Returns:
        Scores (video_name, video_score) and votes (video_name, worker_id, video_score).
    """
    del sample  # labels are the same for every clip length
    random = np.random.default_rng(150_000)
    opinions = {clip_name(i): recipe.opinion for i, recipe in enumerate(RECIPES, start=1)}
    opinions[LABEL_WITHOUT_CLIP] = 3.0
    votes = [
        {
            "video_name": name,
            "worker_id": f"w{worker:04d}",
            "video_score": int(np.clip(np.rint(random.normal(opinion, 0.9)), 1, 5)),
        }
        for name, opinion in opinions.items()
        for worker in range(1, _VOTES_PER_CLIP + 1)
    ]
    table = pd.DataFrame(votes)
    scores = table.groupby("video_name", sort=True)["video_score"].mean().reset_index()
    return scores, table


def complete_drop(clips: ClipFolder, scores: pd.DataFrame, votes: pd.DataFrame) -> dict[str, str]:
    """Return a README for the drop, once everything else is in it."""
    return {
        "README.txt": (
            f"A synthetic drop in K150K-A's shape: {len(clips.names())} clips, {len(scores)} "
            f"scores, {len(votes)} votes. Nothing in it is from KonViD-150k.\n"
        )
    }


def _encode(ffmpeg: str, recipe: Recipe, seconds: float, target: Path) -> None:
    command = [
        ffmpeg, "-nostdin", "-v", "error", "-y",
        "-f", "lavfi", "-i", recipe.source, "-t", f"{seconds:g}",
        "-pix_fmt", recipe.pix_fmt, "-c:v", "libx264", "-preset", "veryfast", "-threads", "1",
        "-crf", str(recipe.crf), "-flags", "+bitexact", "-fflags", "+bitexact",
        "-movflags", "+faststart", "-f", "mp4", str(target),
    ]  # fmt: skip
    result = run_tool(command, timeout_s=300)
    if result.returncode:
        raise EngineError(
            f"{ffmpeg} cannot make the sample clip {recipe.content!r}: {result.describe()}. Name "
            "another with vmaf.ffmpeg"
        )
    if recipe.cut:
        whole = target.read_bytes()
        target.write_bytes(whole[: len(whole) // 2])
