"""The result of a sweep in the form of the journal, and the FR rows made from it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from k150k_pipeline.fr_from_nr.source import Source
from k150k_pipeline.fr_from_nr.sweep import ScoredEncode, SweepIdentity, SweepSettings
from k150k_pipeline.schemas.fr import CANONICAL_6, FR_COLUMNS, FR_SCHEMA_VERSION, STATISTICS

SweepPayload = dict[str, Any]
"""``clip`` has the keys that all rows of a clip share, ``sweep`` a list of those of each row."""

RowPart = dict[str, Any]
"""Some of the keys of an FR row; :data:`FR_COLUMNS` has all."""


def make_payload(
    name: str,
    source: Source,
    encodes: list[ScoredEncode],
    settings: SweepSettings,
    identity: SweepIdentity,
    run_id: str,
) -> SweepPayload:
    """Return the rows of a clip, without the keys that come from the NR corpus.

    Args:
        name: Name of the clip in the rows.
        source: The upload.
        encodes: Its scored encodes, in the order of the rows.
        settings: Settings of the sweep.
        identity: Engine, ffmpeg and encoder of the sweep.
        run_id: Name of the run.
    """
    duration = float(encodes[0].evidence.frames / source.rate)
    clip = _clip_part(name, source, duration, settings, identity, run_id)
    return {"clip": clip, "sweep": [_encode_part(encode, duration) for encode in encodes]}


def _clip_part(
    name: str,
    source: Source,
    duration: float,
    settings: SweepSettings,
    identity: SweepIdentity,
    run_id: str,
) -> RowPart:
    return {
        "schema_version": FR_SCHEMA_VERSION,
        "run_id": run_id,
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        "src": name,
        "src_sha256": source.sha256,
        "width": source.width,
        "height": source.height,
        "pix_fmt": source.pix_fmt,
        "framerate": float(source.rate),
        "duration_s": duration,
        "encoder": settings.encode.encoder,
        "encoder_version": identity.encoder_version,
        "preset": settings.encode.preset,
        "extra_params": " ".join(settings.encode.extra),
        "vmaf_model": identity.engine.model,
        "ffmpeg_version": identity.ffmpeg_version,
        "vmaf_binary_version": identity.engine.libvmaf,
        "exit_status": 0,
        "clip_mode": "full",
        "hdr_transfer": source.hdr_transfer,
        "hdr_primaries": source.hdr_primaries,
        "hdr_forced": False,
        "shot_count": 0,
        "shot_avg_duration_sec": 0.0,
        "shot_duration_std_sec": 0.0,
    }


def rows_of(payload: Mapping[str, Any], mos: float | None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a clip, one per CRF, with the keys in their locked order."""
    provenance = {"nr_source": payload["clip"]["src"], "nr_mos": mos, "fr_from_nr": True}
    for encode in payload["sweep"]:
        row = {**payload["clip"], **encode, **provenance}
        yield {key: row[key] for key in FR_COLUMNS}


def _encode_part(encode: ScoredEncode, duration: float) -> RowPart:
    size = encode.evidence.size_bytes
    means = {f"{f}_mean": float(encode.values[f].mean()) for f in CANONICAL_6}
    deviations = {f"{f}_std": float(encode.values[f].std()) for f in CANONICAL_6}
    statistics = {f"enc_internal_{s}": getattr(encode.evidence.statistics, s) for s in STATISTICS}
    return {
        "crf": encode.crf,
        "encode_path": str(encode.encode_path or ""),
        "encode_size_bytes": size,
        "bitrate_kbps": size * 8 / 1000 / duration,
        "encode_time_ms": round(encode.encode_seconds * 1000, 3),
        "vmaf_score": float(encode.values["vmaf"].mean()),
        "score_time_ms": round(encode.score_seconds * 1000, 3),
        **means,
        **deviations,
        **statistics,
    }
