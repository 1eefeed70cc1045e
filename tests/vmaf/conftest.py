"""Tiny clips, and a bench on which the fork's engines meet stand-ins for its binaries."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k150k_pipeline.media import raw
from k150k_pipeline.media.probe import ClipInfo, probe
from k150k_pipeline.schemas.parameters import VmafParameters
from tests.conftest import encode
from tests.support.binaries import write_stand_in

_ROOM_FOR_A_TINY_CLIP = 512 * 2**20
_CLIPS = {
    "eight_bit.mp4": ("256x256", "yuv420p"),
    "ten_bit.mp4": ("256x256", "yuv420p10le"),
    "odd_444.mp4": ("257x255", "yuv444p"),
    "small.mp4": ("128x96", "yuv420p"),
    "uncounted.mkv": ("256x256", "yuv420p"),
}


class Bench:
    """A CPU binary, a CUDA binary, and every folder that scoring may write to."""

    def __init__(self, folder: Path, memory: Path) -> None:
        self.folder = folder
        self.memory = memory
        self.scratch = folder / "scratch"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.parameters = VmafParameters(
            cpu_binary=self.write("cpu"),
            cuda_binary=self.write("cuda", cuda=True),
            scratch_dir=self.scratch,
        )

    def write(self, name: str, **misbehaviour: Any) -> Path:
        """Write the binary ``cpu`` or ``cuda`` anew."""
        record = str(self._record(name))
        return write_stand_in(self.folder / name / "vmaf", record=record, **misbehaviour)

    def changed(self, **changes: Any) -> VmafParameters:
        """Return the parameters with some of them changed."""
        return self.parameters.model_copy(update=changes)

    def has_run(self, name: str) -> bool:
        """Return whether a binary was run at all."""
        return self._record(name).exists()

    def runs(self, name: str) -> list[dict[str, Any]]:
        """Return what a binary recorded of its runs."""
        record = self._record(name)
        return [json.loads(line) for line in record.read_text().splitlines()]

    def command(self, name: str) -> list[str]:
        """Return the arguments of a binary's only run."""
        (run,) = self.runs(name)
        return list(run["argv"])

    def leftovers(self) -> list[Path]:
        """Return every file in the folders that scoring may write to."""
        folders = (self.memory, self.scratch, self.temporary)
        return [path for folder in folders for path in folder.rglob("*")]

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}_runs.jsonl"


@pytest.fixture
def bench(tmp_path: Path, memory_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path, memory_folder)
    monkeypatch.setattr(raw, "SHARED_MEMORY", bench.memory)
    monkeypatch.setattr(tempfile, "tempdir", str(bench.temporary))
    return bench


@pytest.fixture
def memory_folder(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder of our own in shared memory, where other programs keep files too."""
    shared = raw.SHARED_MEMORY
    if not shared.is_dir() or shutil.disk_usage(shared).free < _ROOM_FOR_A_TINY_CLIP:
        (tmp_path / "memory").mkdir()
        yield tmp_path / "memory"
        return
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ClipInfo]:
    """Return clips of three frames that move, band and stay below a vmaf of 100."""
    folder = tmp_path_factory.mktemp("clips")
    return {
        Path(name).stem: probe(_make_clip(folder / name, size, pix_fmt))
        for name, (size, pix_fmt) in _CLIPS.items()
    }


def _make_clip(path: Path, size: str, pix_fmt: str) -> Path:
    source = f"testsrc2=size={size}:rate=25:duration=0.12,format=yuv444p,lutyuv=y=val/4+32"
    return encode(path, source, "-pix_fmt", pix_fmt)
