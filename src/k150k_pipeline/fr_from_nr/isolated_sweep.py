"""Hashes and sweeps in the helper of this process: no clip is opened here."""

from __future__ import annotations

import functools

from k150k_pipeline.fr_from_nr.adapter import NrInputRow, NrToFrAdapter, refuse_other_bytes
from k150k_pipeline.fr_from_nr.rows import SweepPayload
from k150k_pipeline.isolation import ClipTask, own_helper
from k150k_pipeline.media.identity import FileIdentity, identify
from k150k_pipeline.schemas.fr_parameters import CorpusOptions, FrParameters
from k150k_pipeline.schemas.parameters import VmafParameters


def identify_isolated(row: NrInputRow, fr: FrParameters) -> FileIdentity:
    """Hash a clip in a process that may die of it.

    Args:
        row: Row of the NR corpus.
        fr: Block ``fr_from_nr``.

    Raises:
        ClipError: Stage ``probe``: the clip cannot be read, with the reasons of a helper too, or it
            is not the one in the corpus (``changed``).
    """
    task = ClipTask("probe", row.path, fr.probe_timeout_s)
    file = own_helper(fr.memory_limit_mb).call(task, identify, row.path)
    refuse_other_bytes(row, file.sha256)
    return file


def sweep_isolated(
    row: NrInputRow, fr: FrParameters, vmaf: VmafParameters, run_id: str
) -> SweepPayload:
    """Return what the journal keeps of a clip, made in a process that may die of it.

    Args:
        row: Row of the NR corpus.
        fr: Block ``fr_from_nr``.
        vmaf: Block ``vmaf``.
        run_id: Name of the run in the rows.

    Raises:
        ClipError: As :meth:`NrToFrAdapter.sweep`; also stage ``score`` with the reasons of a
            helper.
        EngineError: No clip can be done.
    """
    tools = 1 + 3 * len(fr.crf_sweep)  # stepwise decodes, then encodes, decodes and scores
    limit = tools * vmaf.clip_timeout_s + fr.probe_timeout_s
    helper = own_helper(fr.memory_limit_mb)
    return helper.call(ClipTask("score", row.path, limit), _sweep, row, fr, vmaf, run_id)


@functools.lru_cache(maxsize=4)
def make_adapter(fr: FrParameters, vmaf: VmafParameters, run_id: str) -> NrToFrAdapter:
    """Return the adapter of a run, one per process.

    Raises:
        InputError: The parameters exclude each other.
        EngineError: No ffmpeg.
    """
    options = CorpusOptions(
        encoder=fr.encoder,
        encode_dir=fr.encode_dir,
        keep_encodes=fr.keep_encodes,
        vmaf_model=vmaf.model,
        threads=fr.threads,
        strategy=fr.strategy,
    )
    return NrToFrAdapter(
        fr.crf_sweep,
        fr.preset,
        vmaf.scratch_dir,
        fr.keep_intermediate_yuv,
        options,
        vmaf=vmaf,
        run_id=run_id,
    )


def _sweep(row: NrInputRow, fr: FrParameters, vmaf: VmafParameters, run_id: str) -> SweepPayload:
    return make_adapter(fr, vmaf, run_id).sweep(row)
