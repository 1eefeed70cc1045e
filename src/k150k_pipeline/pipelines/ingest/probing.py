"""How the clips of a drop are probed, by the parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from k150k_pipeline.datasets import Clips
from k150k_pipeline.datasets.clip_folder import OnThisDisk, here
from k150k_pipeline.isolation import ClipTask, Helper, HelperPool
from k150k_pipeline.media.facts import ClipFacts, read_facts
from k150k_pipeline.pipelines.ingest.plan import DropLabels
from k150k_pipeline.schemas.ingest import IngestParameters
from k150k_pipeline.storage import place, url_of

_RULES = "1"
"""Raise it whenever the same parameters give other facts."""


def probe_clip(
    helper: Helper | HelperPool, path: Path, ingest: IngestParameters, checksum: str = ""
) -> ClipFacts:
    """Read the facts of a clip; with ``ingest.integrity=decode`` its frames are decoded.

    Args:
        helper: The process that opens the clip.
        path: The clip.
        ingest: Block ``ingest``.
        checksum: Hex digest that it must have; empty where none is known.

    Raises:
        ClipError: The clip is broken; stages ``probe`` and ``decode``.
        EngineError: ffprobe or ffmpeg cannot be run.
    """
    decode_timeout_s = ingest.clip_timeout_s if ingest.integrity == "decode" else None
    return helper.call(
        ClipTask("probe", path, ingest.probe_timeout_s + (decode_timeout_s or 0.0)),
        read_facts,
        path,
        checksum,
        ffprobe_binary=ingest.ffprobe if ingest.probe == "ffprobe" else None,
        decode_timeout_s=decode_timeout_s,
    )


@contextmanager
def at_hand(labels: DropLabels, names: Sequence[str]) -> Iterator[Clips]:
    """Yield what has the clips of a drop on this disk, each of the folder that its label names.

    Args:
        labels: Labels of the drop.
        names: The clips that will be asked for, in order.
    """
    folders = [place(folder) for folder in labels.folders]

    def path_of(name: str) -> Path:
        return folders[labels.rows[name].folder] / name

    if any(url_of(folder) for folder in folders):
        with here(names, path_of) as clips:
            yield clips
    else:
        yield OnThisDisk(path_of)


def describe_probing(ingest: IngestParameters) -> dict[str, str | int]:
    """Return everything that determines the facts, for the journal's fingerprint."""
    return {"facts": _RULES, "probe": ingest.probe, "integrity": ingest.integrity}
