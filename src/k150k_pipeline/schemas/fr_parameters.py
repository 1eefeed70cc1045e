"""How FR rows are made: the options of the adapter, and the block ``fr_from_nr``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from k150k_pipeline.schemas.parameters import Parameters

CRF_SWEEP = (18, 23, 28, 33, 38)

Strategy = Literal["auto", "loopback", "stepwise"]


class CorpusOptions(Parameters):
    """How each encode is made and what is kept of it.

    Attributes:
        encoder: ``libx264``, ``libx265``, ``libsvtav1`` or ``libvpx-vp9``.
        encode_dir: Where encodes are kept.
        keep_encodes: Whether they are.
        vmaf_model: VMAF model.
        threads: Threads of each encode; they change the bitstream.
        strategy: ``auto`` is ``loopback`` with the embedded engine and ``stepwise`` with others.
    """

    encoder: str = "libx264"
    encode_dir: Path = Path("data/07_model_output/fr_encodes")
    keep_encodes: bool = False
    vmaf_model: Literal["vmaf_v0.6.1"] = "vmaf_v0.6.1"
    threads: Annotated[int, Field(ge=1, le=64)] = 3
    strategy: Strategy = "auto"
