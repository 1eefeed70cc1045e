"""A folder of video clips, on the disk or in a store."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from kedro.io import AbstractDataset

from k150k_pipeline.datasets.previews import JSONPreview
from k150k_pipeline.datasets.saving import unwritable_as_dataset_error
from k150k_pipeline.durable import replacing
from k150k_pipeline.errors import UNFETCHED, ClipError, InputError
from k150k_pipeline.media.identity import FileIdentity
from k150k_pipeline.storage import (
    FetchedAhead,
    Object,
    StoreError,
    fetched,
    in_words,
    place,
    url_of,
)
from k150k_pipeline.storage.connection import info, listing

_NAMED = 3


class Clips(Protocol):
    """What returns the path of a clip on this disk."""

    @property
    def find(self) -> Callable[[str], Path]:
        """What returns the path of a clip.

        It raises :class:`ClipError` if the clip is in a store and cannot be fetched.
        """


ClipMakers = Mapping[str, Callable[[Path], None]]
"""Clip name to a function that writes the clip to a path."""


@dataclass(frozen=True)
class ClipFolder:
    """A folder of clips, which is read only when one of these methods is called.

    Attributes:
        path: The folder.
        suffix: Ending of a clip's file name, or several; other files are not clips.
        more: Further folders of the same corpus; a clip is taken from the first that has it.
    """

    path: Path
    suffix: str | tuple[str, ...] = ".mp4"
    more: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return " or ".join(map(str, (self.path, *self.more)))

    def names(self) -> list[str]:
        """Return the clip file names of all folders that exist, sorted, each once.

        Raises:
            InputError: None of the folders exists, or one cannot be read.
        """
        folders = self._existing()
        if not folders:
            wrong = "is a file, not a folder" if self.path.is_file() else "does not exist"
            raise InputError(
                f"clip folder {self} {wrong}: put the clips there, or name their "
                "folder with --params clips_dir=… or in conf/local/catalog.yml"
            )
        return sorted({name for folder in folders for name in self._list(folder)})

    def describe(self) -> str:
        """Return what the folders hold, for a message about clips that are not found.

        If no clip is in them, but some are in a folder below, that folder is named.
        """
        if names := self.names():
            return f"{self} has {len(names)} clips, such as {', '.join(names[:_NAMED])}"
        endings = ", ".join((self.suffix,) if isinstance(self.suffix, str) else self.suffix)
        below = (f for folder in self._existing() for f in sorted(folder.iterdir()) if f.is_dir())
        with_clips = next((folder for folder in below if self._list(folder)), None)
        if with_clips is None:
            return f"{self} has no clip ({endings}). Name another with --params clips_dir=…"
        return (
            f"{self} has no clip ({endings}), but {with_clips} has some: give that one "
            f"(--params clips_dir={with_clips})"
        )

    def by_stem(self) -> dict[str, str]:
        """Return the clip file names by stem; empty if the folder does not exist.

        Of several clips with one stem, an MP4 counts.
        """
        if not self.path.is_dir():
            return {}
        mp4_last = sorted(self.names(), key=lambda name: name.endswith(".mp4"))
        return {Path(name).stem: name for name in mp4_last}

    def find(self, name: str) -> Path:
        """Return the path of a clip; of one that is in no folder, the path in the first folder."""
        paths = [folder / name for folder in (self.path, *self.more)]
        return next((path for path in paths if path.is_file()), paths[0])

    @contextmanager
    def at_hand(self, names: Sequence[str] = ()) -> Iterator[Clips]:
        """Yield what has the clips on this disk; clips in a store are fetched to it.

        A clip that is fetched stays until the next one is asked for.

        Args:
            names: The clips that will be asked for, in order; these are fetched ahead.
        """
        del names  # all clips are on this disk
        yield self

    def unread(self, name: str) -> FileIdentity | None:
        """Return the identity of a clip without reading its bytes; None if it is not there."""
        return FileIdentity.unread(self.find(name))

    def _existing(self) -> list[Path]:
        return [folder for folder in (self.path, *self.more) if folder.is_dir()]

    def _is_clip(self, name: str) -> bool:
        return name.lower().endswith(self.suffix) and not name.startswith(".")

    def _list(self, folder: Path) -> list[str]:
        try:
            with os.scandir(folder) as files:
                return [f.name for f in files if self._is_clip(f.name)]
        except PermissionError as error:
            raise InputError(
                f"clip folder {folder} cannot be read ({error.strerror}): change its permissions, "
                "or name another with --params clips_dir=…"
            ) from error


@dataclass(frozen=True)
class StoredClipFolder(ClipFolder):
    """A folder of clips in a store; its paths are those of copies, of which there are none."""

    def __str__(self) -> str:
        return in_words(super().__str__())

    @cached_property
    def _listed(self) -> Mapping[str, Object | Path]:
        """The clips by name, from one listing of each folder."""
        found: dict[str, Object | Path] = {}
        for folder in reversed((self.path, *self.more)):
            if (url := url_of(folder)) is None:
                found |= {name: folder / name for name in self._list(folder)}
            else:
                found |= {each.name: each for each in listing(url) if self._is_clip(each.name)}
        return found

    def _list(self, folder: Path) -> list[str]:
        return super()._list(folder) if folder.is_dir() else []

    def names(self) -> list[str]:
        """Return the clip file names of all folders, sorted, each once.

        Raises:
            InputError: There are no clips, or a folder cannot be listed.
        """
        if not self._listed:
            raise InputError(
                f"clip folder {self} has no clip: put the clips there, or name their folder with "
                "--params clips_dir=… or in conf/local/catalog.yml"
            )
        return sorted(self._listed)

    def describe(self) -> str:
        """Return what the folders hold, for a message about clips that are not found."""
        names = self.names()
        return f"{self} has {len(names)} clips, such as {', '.join(names[:_NAMED])}"

    def by_stem(self) -> dict[str, str]:
        """Return the clip file names by stem; of several clips with one stem, an MP4 counts."""
        mp4_last = sorted(self._listed, key=lambda name: (name.endswith(".mp4"), name))
        return {Path(name).stem: name for name in mp4_last}

    @contextmanager
    def at_hand(self, names: Sequence[str] = ()) -> Iterator[Clips]:
        """Yield what has the clips on this disk; see :meth:`ClipFolder.at_hand`."""
        with here(names, self._find_now) as clips:
            yield clips

    def unread(self, name: str) -> FileIdentity | None:
        """Return the identity of a clip without reading its bytes; None if it is not there."""
        found = self._listed.get(name)
        if isinstance(found, Object):
            return FileIdentity(found.size, found.mtime_ns, "")
        return None if found is None else FileIdentity.unread(found)

    def _find_now(self, name: str) -> Path:
        """Return the path of a clip in the first folder that has it now."""
        paths = [folder / name for folder in (self.path, *self.more)]
        return next((path for path in paths[:-1] if _is_there(path)), paths[-1])


@contextmanager
def here(names: Sequence[str], path_of: Callable[[str], Path]) -> Iterator[Clips]:
    """Yield what has clips on this disk; those in a store are fetched, one is there at a time.

    Args:
        names: The clips that will be asked for, in order.
        path_of: Returns the path of a clip, that of a copy if it is in a store.
    """

    def look(name: str) -> Object | None:
        url = url_of(path_of(name))
        return None if url is None else info(url)

    with FetchedAhead(names, look) as ahead:
        yield _Here(ahead, path_of)


@dataclass(frozen=True)
class OnThisDisk:
    """Clips that are all on this disk.

    Attributes:
        find: Returns the path of a clip.
    """

    find: Callable[[str], Path]


class _Here:
    """Clips on this disk, fetched if need be.

    Args:
        ahead: Fetches them.
        path_of: Returns the path of a clip that is not fetched.
    """

    def __init__(self, ahead: FetchedAhead, path_of: Callable[[str], Path]) -> None:
        self._ahead = ahead
        self._path_of = path_of

    def find(self, name: str) -> Path:
        """Return the path of a clip; one that is fetched stays until another is asked for."""
        try:
            path = self._ahead.get(name)
        except FileNotFoundError:
            path = None
        except StoreError as error:
            raise ClipError("download", UNFETCHED, str(error)) from error
        return self._path_of(name) if path is None else path


def _is_there(path: Path) -> bool:
    url = url_of(path)
    return path.is_file() if url is None else info(url) is not None


def clip_folder(
    path: Path, suffix: str | tuple[str, ...], more: tuple[Path, ...] = ()
) -> ClipFolder:
    """Return a folder of clips, on the disk or in a store; the arguments are its attributes."""
    stored = any(url_of(folder) for folder in (path, *more))
    return (StoredClipFolder if stored else ClipFolder)(path, suffix, more)


class ClipFolderDataset(AbstractDataset[ClipMakers, ClipFolder]):
    """A folder of clips, loaded as a :class:`ClipFolder`; saving makes the missing clips.

    Args:
        path: The folder.
        suffix: Ending of a clip's file name, or a list of them.
        more: Further folders by any name, each as ``{path: …}``: by this key Kedro recognises
            paths that are relative to the project.
    """

    def __init__(
        self,
        *,
        path: str,
        suffix: str | Sequence[str] = ".mp4",
        more: Mapping[str, Mapping[str, str]] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        further = tuple(place(folder["path"]) for folder in (more or {}).values())
        endings = suffix if isinstance(suffix, str) else tuple(suffix)
        self._folder = clip_folder(place(path), endings, further)
        self.metadata = metadata

    def load(self) -> ClipFolder:
        """Return the folder; whether it exists is checked when it is read."""
        return self._folder

    @unwritable_as_dataset_error()
    def save(self, data: ClipMakers) -> None:
        """Make the missing clips one by one, each atomically."""
        for name, make in data.items():
            target = self._folder.path / name
            if not fetched(target).exists():
                with replacing(target) as temporary:
                    make(temporary)

    def preview(self) -> JSONPreview:
        """Return the number of clips and the first names, for kedro-viz."""
        names = self._folder.names()
        return JSONPreview(json.dumps({"clips": len(names), "first": names[:10]}))

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder), "suffix": self._folder.suffix}

    def _exists(self) -> bool:
        folders = (self._folder.path, *self._folder.more)
        return any(url_of(folder) or folder.is_dir() for folder in folders)
