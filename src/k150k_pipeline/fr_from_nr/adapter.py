"""The adapter from a row of an NR corpus to one FR row per CRF."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from k150k_pipeline.errors import CHANGED, ClipError, InputError
from k150k_pipeline.fr_from_nr.loopback import Loopback
from k150k_pipeline.fr_from_nr.native_loopback import NativeLoopback, scores_natively
from k150k_pipeline.fr_from_nr.rows import SweepPayload, make_payload, rows_of
from k150k_pipeline.fr_from_nr.source import Source, probe_source
from k150k_pipeline.fr_from_nr.stepwise import Stepwise
from k150k_pipeline.fr_from_nr.sweep import SweepIdentity, SweepSettings, SweepStrategy
from k150k_pipeline.media.encode import EncodeSettings
from k150k_pipeline.media.raw import ToolRunner
from k150k_pipeline.media.tools import run_tool
from k150k_pipeline.schemas.encoders import check_sweep
from k150k_pipeline.schemas.fr import FrRow
from k150k_pipeline.schemas.fr_parameters import CRF_SWEEP, CorpusOptions
from k150k_pipeline.schemas.parameters import VmafParameters
from k150k_pipeline.vmaf import settle_backend

ProbeRunner = Callable[[Path], Source]


@dataclass(frozen=True)
class NrInputRow:
    """A row of an NR corpus; keys that are not needed here are left out.

    Attributes:
        src: Name of the clip in the corpus.
        path: Path of the clip.
        mos: Its mean opinion score; None if unknown.
        src_sha256: Its SHA-256 in the corpus; empty if unknown.
    """

    src: str
    path: Path
    mos: float | None = None
    src_sha256: str = ""

    @classmethod
    def from_dict(cls, row: Mapping[str, Any], clips_dir: Path | None = None) -> NrInputRow:
        """Read a row of a corpus JSONL.

        Args:
            row: Has ``src``, and may have ``mos`` and ``src_sha256``.
            clips_dir: Folder that ``src`` is relative to; by default the working directory.

        Raises:
            InputError: It has no ``src``, or its ``mos`` is not a number.
        """
        if not row.get("src"):
            raise InputError(f"NR row without src: {dict(row)}. Add the file name of the clip")
        src, mos = str(row["src"]), row.get("mos")
        if mos is not None and not isinstance(mos, int | float):
            raise InputError(f"NR row of {src}: mos {mos!r} is not a number: correct it")
        digest = str(row.get("src_sha256") or "").lower()  # some programs print capitals
        return cls(src, (clips_dir or Path()) / src, mos, digest)


class NrToFrAdapter:
    """Makes FR rows of NR clips: the decoded upload is the reference of its own re-encodes.

    Args:
        crf_sweep: CRFs to encode at; each gives one row.
        preset: Preset of the encoder.
        scratch_dir: Folder of raw video that is kept, or does not fit into memory.
        keep_intermediate_yuv: Whether the decoded reference is kept there.
        options: Encoder, threads, model, strategy, and whether encodes are kept.
        vmaf: The engine that scores, and the ffmpeg that decodes and encodes.
        run_id: Name of the run in every row; by default a new one.
        probe_runner: Probes a clip instead of :func:`probe_source`.
        decode_runner: Decodes a clip or an encode instead of ``run_tool``.
        encode_runner: Encodes instead of ``run_tool``.
        score_runner: Scores instead of ``run_tool``. With any of the last three the strategy is
            ``stepwise``, as ``loopback`` has no such steps.

    Raises:
        InputError: Encoder, preset, CRFs or strategy cannot be used.
    """

    def __init__(
        self,
        crf_sweep: Sequence[int] = CRF_SWEEP,
        preset: str = "medium",
        scratch_dir: Path = Path("/tmp/k150k_yuv_scratch"),
        keep_intermediate_yuv: bool = False,
        options: CorpusOptions | None = None,
        *,
        vmaf: VmafParameters | None = None,
        run_id: str | None = None,
        probe_runner: ProbeRunner | None = None,
        decode_runner: ToolRunner | None = None,
        encode_runner: ToolRunner | None = None,
        score_runner: ToolRunner | None = None,
    ) -> None:
        options, (vmaf, _) = options or CorpusOptions(), settle_backend(vmaf or VmafParameters())
        check_sweep(options.encoder, preset, crf_sweep)
        self._settings = SweepSettings(
            crf_sweep=tuple(crf_sweep),
            encode=EncodeSettings(options.encoder, preset, options.threads),
            vmaf=vmaf.model_copy(update={"model": options.vmaf_model}),
            scratch_dir=scratch_dir,
            keep_intermediate_yuv=keep_intermediate_yuv,
            encode_dir=options.encode_dir if options.keep_encodes else None,
        )
        self._probe = probe_runner or probe_source
        self._run_id = run_id or uuid.uuid4().hex
        runners = (decode_runner, encode_runner, score_runner)
        if choose_strategy(options, vmaf, stepwise=any(runners)) == "stepwise":
            steps = [runner or run_tool for runner in runners]
            self._strategy: SweepStrategy = Stepwise(self._settings, *steps)
        elif scores_natively(self._settings):
            self._strategy = NativeLoopback(self._settings)
        else:
            self._strategy = Loopback(self._settings)

    @functools.cached_property
    def identity(self) -> SweepIdentity:
        """Everything that determines the numbers, from a tiny sweep.

        Raises:
            EngineError: ffmpeg, encoder or scoring engine is missing or lacks something.
        """
        return self._strategy.identify()

    def run(self, row: NrInputRow) -> Iterator[dict[str, Any]]:
        """Yield one FR row per CRF, with the keys in their locked order.

        Raises:
            ClipError: The clip cannot be decoded, encoded or scored.
            EngineError: No clip can be decoded, encoded or scored.
        """
        yield from rows_of(self.sweep(row), row.mos)

    def run_many(self, rows: Iterable[NrInputRow]) -> Iterator[dict[str, Any]]:
        """Yield the FR rows of many NR rows; raises as :meth:`run` does, at the first bad clip."""
        for row in rows:
            yield from self.run(row)

    def sweep(self, row: NrInputRow) -> SweepPayload:
        """Return a clip's result in the form of the journal, from which :func:`rows_of` makes rows.

        Raises:
            ClipError: As :meth:`run`; also stage ``probe``, reason ``changed``, if the clip is not
                the one in the corpus.
        """
        identity, source = self.identity, self._probe(row.path)
        refuse_other_bytes(row, source.sha256)
        encodes = self._strategy.sweep(source)
        payload = make_payload(row.src, source, encodes, self._settings, identity, self._run_id)
        _check_rows(payload, row)
        return payload


def refuse_other_bytes(row: NrInputRow, sha256: str) -> None:
    """Refuse a clip that is not the one in the corpus.

    Args:
        row: Row of the clip.
        sha256: SHA-256 of its file.

    Raises:
        ClipError: Stage ``probe``, reason ``changed``.
    """
    if row.src_sha256 not in ("", sha256):
        raise ClipError(
            "probe",
            CHANGED,
            f"{row.path} has SHA-256 {sha256}, the corpus says {row.src_sha256}: put that file "
            "back, or ingest the clip again",
        )


def _check_rows(payload: SweepPayload, row: NrInputRow) -> None:
    try:
        for fr_row in rows_of(payload, row.mos):
            FrRow.model_validate(fr_row)
    except ValidationError as error:
        raise ClipError("score", "bad_row", f"{row.path}: {error}") from error


def choose_strategy(options: CorpusOptions, vmaf: VmafParameters, *, stepwise: bool = False) -> str:
    """Return the strategy for these options and this backend.

    Raises:
        InputError: ``loopback`` is named, but backend or runners need ``stepwise``.
    """
    if options.strategy == "loopback" and (stepwise or vmaf.uses_a_binary):
        raise InputError(
            "strategy loopback scores inside ffmpeg, with vmaf.backend=embedded or native, without "
            "other runners: use strategy stepwise"
        )
    if options.strategy == "auto":
        return "stepwise" if stepwise or vmaf.uses_a_binary else "loopback"
    return options.strategy
