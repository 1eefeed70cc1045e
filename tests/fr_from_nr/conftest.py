"""Tiny clips of every kind that may upset one way to a row and not the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from k150k_pipeline.fr_from_nr import CorpusOptions, NrInputRow, NrToFrAdapter
from k150k_pipeline.fr_from_nr.sweep import SweepIdentity
from tests.conftest import encode

_MOVING = "testsrc2=s=128x96:r=25:d=0.4,noise=alls=12:allf=t"
_PQ = "setparams=range=tv:color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"
_MASTERING = (
    "log-level=error:repeat-headers=1:chromaloc=2:max-cll=1000,400:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
)
CLIPS = {
    "eight_bit.mp4": (_MOVING, "-pix_fmt", "yuv420p"),
    "ten_bit.mp4": (_MOVING, "-pix_fmt", "yuv420p10le"),
    "hdr.mp4": (
        f"{_MOVING},format=yuv420p10le,{_PQ},setsar=4/3",
        "-c:v", "libx265", "-x265-params", _MASTERING,
    ),
    "odd_444.mp4": (_MOVING.replace("128x96", "129x97") + ",format=yuv444p",),
    "full_range.mp4": (
        f"{_MOVING},scale=out_range=full,format=yuv420p,setparams=range=pc", "-pix_fmt", "yuvj420p",
    ),
    "one_frame.mp4": (_MOVING.replace("d=0.4", "d=0.04"), "-pix_fmt", "yuv420p"),
    "odd_rate.mkv": (_MOVING.replace("r=25", "r=30000/1001"), "-pix_fmt", "yuv420p"),
    "uneven.mkv": (f"{_MOVING},setpts='N*N/(25*TB)'", "-pix_fmt", "yuv420p", "-fps_mode", "vfr"),
    "flat.mp4": ("color=gray:s=128x96:r=25:d=0.4", "-pix_fmt", "yuv420p"),
}  # fmt: skip

NOT_OF_THE_NUMBERS = ("run_id", "timestamp", "encode_time_ms", "score_time_ms", "encode_path")
"""Keys of a row that say when and where, not what."""


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("fr_clips")
    return {
        Path(name).stem: encode(folder / name, source, *options)
        for name, (source, *options) in CLIPS.items()
    }


_identities: dict[tuple[Any, ...], SweepIdentity] = {}


def rows_of_clip(path: Path, *, sweep=(18, 28, 38), preset="veryfast", **options: Any):
    """Return the FR rows of a clip; each engine and encoder is tried out once."""
    keywords = {k: options.pop(k) for k in list(options) if k not in CorpusOptions.model_fields}
    chosen = CorpusOptions(**options)
    adapter = NrToFrAdapter(sweep, preset, options=chosen, **keywords)
    engine = chosen.encoder, keywords.get("vmaf")
    if engine in _identities:
        adapter.identity = _identities[engine]
    _identities[engine] = adapter.identity
    return list(adapter.run(NrInputRow(path.name, path, 3.0)))


def numbers(rows):
    """Return rows without what differs from run to run."""
    return [{k: v for k, v in row.items() if k not in NOT_OF_THE_NUMBERS} for row in rows]
