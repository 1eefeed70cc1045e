"""The layouts of a KonViD drop on the disk, and which of them a drop has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from k150k_pipeline.errors import InputError
from k150k_pipeline.schemas.ingest import IngestParameters
from k150k_pipeline.storage import refresh

_NOTHING = "\0"
_1K_CLIPS, _1K_TABLES = "KoNViD_1k_videos", "KoNViD_1k_metadata"
_1K_ATTRIBUTES = ("KoNViD_1k_attributes.csv", "KoNViD_1k_mos.csv")


@dataclass(frozen=True)
class ScoreFile:
    """One score table, the folder of its clips, and its votes.

    Attributes:
        path: The table.
        clips: Folder of the clips; downloads go there too.
        votes: Vote tables.
        guarded: Whether ``ingest.min_rows`` applies; K150K-B alone is smaller.
    """

    path: Path
    clips: Path
    votes: tuple[Path, ...]
    guarded: bool = True


@dataclass(frozen=True)
class Layout:
    """A drop: its kind and its score tables."""

    kind: str
    files: tuple[ScoreFile, ...]


def find_layout(drop: Path, ingest: IngestParameters) -> Layout:
    """Return the layout that ``ingest.layout`` names, or that the files of the drop show.

    Raises:
        InputError: The files show no layout, or a file of the layout is missing.
    """
    if ingest.manifest_csv is not None:
        return _manifest(drop, ingest.manifest_csv)
    for folder in _1k_folders(drop):
        refresh(folder, end=".csv", immutable=_NOTHING)
    if not drop.is_dir():
        raise InputError(
            f"the drop {drop} does not exist: put the corpus there, or name its folder with "
            "--params drop=…"
        )
    kind = ingest.layout if ingest.layout != "auto" else _recognise(drop, ingest)
    if kind == "manifest":
        return _manifest(drop, drop / "manifest.csv")
    return _konvid_1k(drop) if kind == "konvid_1k" else _split(drop)


def _recognise(drop: Path, ingest: IngestParameters) -> str:
    if ingest.corpus == "konvid-1k":
        return "konvid_1k"
    if (drop / "manifest.csv").is_file():
        return "manifest"
    if any((drop / f"k150k{part}_scores.csv").is_file() for part in "ab"):
        return "split"
    if any((folder / name).is_file() for folder in _1k_folders(drop) for name in _1K_ATTRIBUTES):
        raise InputError(
            f"{drop} holds KonViD-1k, not KonViD-150k: set ingest.corpus=konvid-1k, or name the "
            "other drop with --params drop=…"
        )
    raise InputError(
        f"{drop} holds neither manifest.csv nor k150ka_scores.csv nor k150kb_scores.csv; found are "
        f"{sorted(path.name for path in drop.iterdir())[:10]}. Name the drop with --params drop=… "
        "or the manifest with ingest.manifest_csv"
    )


def _manifest(drop: Path, path: Path) -> Layout:
    votes = tuple(sorted(drop.glob("*votes*.csv")))
    return Layout("manifest", (ScoreFile(_require(path), drop / "clips", votes),))


def _split(drop: Path) -> Layout:
    parts = [part for part in "ab" if (drop / f"k150k{part}_scores.csv").is_file()]
    if not parts:
        raise InputError(
            f"{drop} has neither k150ka_scores.csv nor k150kb_scores.csv: put one there, or set "
            "ingest.layout=auto"
        )
    files = (
        ScoreFile(
            drop / f"k150k{part}_scores.csv",
            drop / f"k150k{part}_extracted",
            _present(drop / f"k150k{part}_votes.csv"),
            guarded=part == "a",
        )
        for part in parts
    )
    return Layout("split", tuple(files))


def _konvid_1k(drop: Path) -> Layout:
    candidates = [folder / name for name in _1K_ATTRIBUTES for folder in _1k_folders(drop)]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise InputError(
            f"the drop {drop} has no score table of KonViD-1k: put one of these there: "
            f"{', '.join(map(str, candidates))}"
        )
    votes = {vote for folder in _1k_folders(drop) for vote in folder.glob("*votes*.csv")}
    clips = drop / _1K_CLIPS
    return Layout("konvid_1k", (ScoreFile(path, clips, tuple(sorted(votes))),))


def _1k_folders(drop: Path) -> tuple[Path, Path]:
    return drop / _1K_TABLES, drop


def _present(path: Path) -> tuple[Path, ...]:
    return (path,) if path.is_file() else ()


def _require(path: Path) -> Path:
    if not path.is_file():
        raise InputError(
            f"the manifest {path} does not exist: put it there, or name another with "
            "ingest.manifest_csv"
        )
    return path
