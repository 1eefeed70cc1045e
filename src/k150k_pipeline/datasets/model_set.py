"""Model sets: files that belong together and are replaced together."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.io import DatasetError

from k150k_pipeline.datasets.atomic import AtomicFileDataset
from k150k_pipeline.datasets.previews import NOT_MADE, JSONPreview
from k150k_pipeline.datasets.saving import unwritable_as_dataset_error
from k150k_pipeline.durable import naming, sync_folder
from k150k_pipeline.storage import place_on_disk

CURRENT, VERSIONS, SUMS = "current", "versions", "SHA256SUMS"
_DIGITS = 16


@dataclass(frozen=True)
class ModelSet:
    """The files of one version.

    Attributes:
        version: Name of the version, made from its contents.
        files: Contents by file name.
    """

    version: str
    files: Mapping[str, bytes]


class ModelSetDataset(AtomicFileDataset):
    """A folder of versions, and the link ``current`` to the one in use.

    A version is written to a temporary folder, synced and renamed into place. Then one rename
    switches ``current``, so that a reader sees the old set or the new one. A version is named by
    the hash of its contents, so the same set saved twice is one version. ``filepath`` is the
    folder.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=str(place_on_disk(filepath)), metadata=metadata)

    @unwritable_as_dataset_error()
    def save(self, data: Mapping[str, bytes]) -> None:
        """Make the files the current set."""
        publish(self._filepath, data)

    def load(self) -> ModelSet:
        """Return the current set.

        Raises:
            DatasetError: There is none, or a file has changed since it was written.
        """
        return read_current(self._filepath)

    def preview(self) -> JSONPreview:
        """Return version and files for kedro-viz."""
        if not self._exists():
            return JSONPreview(json.dumps({NOT_MADE: str(self._filepath)}))
        current = self.load()
        sizes = {name: len(content) for name, content in current.files.items()}
        return JSONPreview(json.dumps({"version": current.version, "bytes": sizes}))

    def _exists(self) -> bool:
        return (self._filepath / CURRENT).exists()


def publish(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Make files the current set of a folder; return the folder of the version.

    Raises:
        UnwritableError: The folder cannot be written, or the disk is full; the old set stays
            current.
    """
    with naming(folder, everything=True):
        return _publish(folder, files)


def _publish(folder: Path, files: Mapping[str, bytes]) -> Path:
    sums = _sums(files)
    versions = folder / VERSIONS
    target = versions / hashlib.sha256(sums.encode()).hexdigest()[:_DIGITS]
    versions.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    if not _is_whole(target):
        if target.exists():  # it was damaged, and the new version takes its name
            target.rename(versions / f".damaged-{os.getpid()}")
        _write_version(versions / f".new-{os.getpid()}", target, {**files, SUMS: sums.encode()})
    link = folder / f".{CURRENT}-{os.getpid()}"
    link.symlink_to(Path(VERSIONS, target.name))
    link.replace(folder / CURRENT)
    sync_folder(folder)
    return target


def read_current(folder: Path) -> ModelSet:
    """Read the current set; the link is followed once, so all files are of one version.

    Raises:
        DatasetError: There is none, or a file has changed since it was written.
    """
    try:
        version = folder / (folder / CURRENT).readlink()
        listed = _read_sums(version)
        files = {name: (version / name).read_bytes() for name in listed}
    except OSError as error:
        raise DatasetError(
            f"there is no model set in {folder} ({error.strerror}): run mos_head first"
        ) from error
    for name, digest in listed.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise DatasetError(
                f"{version / name} has changed since it was written: run mos_head again"
            )
    return ModelSet(version.name, files)


def _write_version(temporary: Path, target: Path, files: Mapping[str, bytes]) -> None:
    try:
        temporary.mkdir()
        for name, content in files.items():
            with (temporary / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(temporary)
        temporary.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed run left; the lock excludes that another run is writing."""
    for path in (folder / VERSIONS).glob(".*"):
        shutil.rmtree(path)
    for path in folder.glob(f".{CURRENT}-*"):
        path.unlink()


def _is_whole(version: Path) -> bool:
    try:
        listed = _read_sums(version)
        return all(
            hashlib.sha256((version / name).read_bytes()).hexdigest() == digest
            for name, digest in listed.items()
        )
    except OSError:
        return False


def _sums(files: Mapping[str, bytes]) -> str:
    """Return the lines of ``sha256sum``, sorted by name."""
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return "".join(lines)


def _read_sums(version: Path) -> dict[str, str]:
    lines = (version / SUMS).read_text("utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
